import { ISignal, Signal } from '@lumino/signaling';

import { ISilent } from '../api/rest';
import { isUpstream, ISilence, ITrouble, locationOf, troubleOf } from '../model/location';
import { ILocation, parentOf } from '../model/session';

/** How often the locations are read while something shows them, in milliseconds. */
const PERIOD = 10000;

/** The configured locations and what is wrong with each: as they say themselves, and as lists found them. */
export class Places {
  /** @param read - asks the server, which answers from memory */
  constructor(private readonly _read: () => Promise<ILocation[]>) {}

  get all(): readonly ILocation[] {
    return this._all;
  }

  /** Emits on each real change. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** The location of a session, a template or of itself. */
  of(name: string): ILocation | undefined {
    return locationOf(this._all, name);
  }

  /** What is wrong with the location of a session or of itself. */
  trouble(name: string): ITrouble | undefined {
    return troubleOf(this.of(name), this._silent.get(parentOf(name)));
  }

  /** Read the locations; true where one answers again that did not, so that a list is due. Rejects as `read` does. */
  async read(): Promise<boolean> {
    if (!this._reading) {
      this._reading = this._readNow().finally(() => (this._reading = undefined));
    }
    return this._reading;
  }

  /** Whether it is time to read again: only another server's state changes by itself. */
  isDue(now: number): boolean {
    return now - this._last >= PERIOD && this._all.some(isUpstream);
  }

  /** Take what a list said of who did not answer it. */
  listed(unreachable: readonly ISilent[], now: number): void {
    const before = this._silent;
    const since = (name: string) => before.get(name)?.since ?? now;
    this._silent = new Map(
      unreachable.map(({ name, status, message }) => [
        name,
        { since: since(name), status, message }
      ])
    );
    if (JSON.stringify([...before]) !== JSON.stringify([...this._silent])) {
      this._changed.emit();
    }
  }

  private async _readNow(): Promise<boolean> {
    // Also a failure is not tried again at once.
    this._last = Date.now();
    const stale = this._all.filter(({ name }) => this.trouble(name)?.stale);
    const all = await this._read();
    const changed = JSON.stringify(all) !== JSON.stringify(this._all);
    this._all = all;
    if (changed) {
      this._changed.emit();
    }
    // What a list found silent says itself that it is there.
    return stale.some(({ name }) => {
      const place = this.of(name);
      return place !== undefined && !troubleOf(place)?.stale;
    });
  }

  private _all: readonly ILocation[] = [];
  private _silent: ReadonlyMap<string, ISilence> = new Map();
  private _last = 0;
  private _reading: Promise<boolean> | undefined;
  private _changed = new Signal<this, void>(this);
}
