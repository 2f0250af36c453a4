import { ISignal, Signal } from '@lumino/signaling';
import { useEffect, useState } from 'react';

/** Ticks while something is shown, and only then. */
export class Clock {
  constructor(private readonly _period = 1000) {}

  get tick(): ISignal<this, number> {
    return this._tick;
  }

  start(): void {
    if (this._timer === undefined) {
      this._timer = setInterval(() => this._tick.emit(Date.now()), this._period);
      this._tick.emit(Date.now());
    }
  }

  stop(): void {
    clearInterval(this._timer);
    this._timer = undefined;
  }

  dispose(): void {
    this.stop();
    Signal.clearData(this);
  }

  private _timer: ReturnType<typeof setInterval> | undefined;
  private _tick = new Signal<this, number>(this);
}

/** The time now, milliseconds since the epoch, anew at each tick. */
export function useNow(clock: Clock): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const onTick = (_: Clock, time: number) => setNow(time);
    clock.tick.connect(onTick);
    return () => {
      clock.tick.disconnect(onTick);
    };
  }, [clock]);
  return now;
}
