import { State } from './session';

/** One change as the watch stream tells it. */
export interface IChange {
  location?: string;
  sequence: number | string;
  session: string;
  sessionUuid: string;
  oldState: State;
  newState: State;
  stateMessage?: string;
  time: string;
}

/** The stream's word that changes were lost: list again. */
export interface IReset {
  location?: string;
  reset: true;
  sequence: number | string;
}

export function isReset(message: IChange | IReset): message is IReset {
  return 'reset' in message && message.reset === true;
}

/** Where a reader stands in each location's change log. */
export class Cursor {
  /** Note a message; false where it was seen before. */
  advance(location: string, sequence: number): boolean {
    const last = this._last.get(location);
    if (last !== undefined && sequence <= last) {
      return false;
    }
    this._last.set(location, sequence);
    return true;
  }

  /** Take a reset's word, which may go back. */
  reset(location: string, sequence: number): void {
    this._last.set(location, sequence);
  }

  /** Whether every one of these locations can be resumed without a list. */
  covers(locations: Iterable<string>): boolean {
    return [...locations].every(location => this._last.has(location));
  }

  /** The query of a watch over all locations that goes on from here. */
  query(): string {
    const rows = [...this._last].sort().map(([location, sequence]) => `${location},${sequence}`);
    return rows.map(row => `after=${encodeURIComponent(row)}`).join('&');
  }

  private _last = new Map<string, number>();
}

/** Milliseconds to wait before the nth attempt (from 0) to connect again: doubling from 1 s to 30 s, jittered. */
export function backoff(attempt: number, random: () => number = Math.random): number {
  const most = Math.min(30000, 1000 * 2 ** attempt);
  return most / 2 + (random() * most) / 2;
}
