import { Message, MessageLoop } from '@lumino/messaging';
import { ISignal, Signal } from '@lumino/signaling';
import { Widget } from '@lumino/widgets';
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

/** A clock that runs while a widget is shown, and goes with it. */
export function clockOf(widget: Widget): Clock {
  const clock = new Clock();
  MessageLoop.installMessageHook(widget, (_, message: Message) => {
    switch (message.type) {
      case 'after-attach':
        // Heard before the widget itself: what makes it visible then is that it and its parents are not hidden.
        if (!widget.isHidden && widget.parent?.isVisible !== false) {
          clock.start();
        }
        break;
      case 'after-show':
        clock.start();
        break;
      case 'before-hide':
      case 'before-detach':
        clock.stop();
        break;
    }
    return true;
  });
  widget.disposed.connect(() => clock.dispose());
  return clock;
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
