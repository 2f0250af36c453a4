import { IEnd, IEnds, warnsAt } from '../model/ends';
import { ISession } from '../model/session';

/** A session whose end is near and not yet told. */
export interface IWarning {
  session: ISession;
  end: IEnd;
}

export interface IVerdict {
  /** Warn of these now. */
  due: IWarning[];
  /** The uuids of sessions warned of before whose end is near no more. */
  over: string[];
  /** When to look again, milliseconds since the epoch; Infinity where nothing nears. */
  next: number;
}

/** Decides which ends to warn of: once a session and end. */
export class EndWarnings {
  /** Look at every session at a moment. */
  judge(
    sessions: readonly ISession[],
    endsOf: (session: ISession) => IEnds,
    now: number
  ): IVerdict {
    const verdict: IVerdict = { due: [], over: [], next: Infinity };
    const near = new Set<string>();
    for (const session of sessions) {
      const end = endsOf(session).next;
      if (!end) {
        continue;
      }
      const from = warnsAt(session, end);
      if (now < from) {
        verdict.next = Math.min(verdict.next, from);
        continue;
      }
      near.add(session.uuid);
      if (!this._told.has(session.uuid)) {
        verdict.due.push({ session, end });
      }
    }
    verdict.over = [...this._told].filter(uuid => !near.has(uuid));
    this._told = near;
    return verdict;
  }

  private _told = new Set<string>();
}

/** Whether an end is near enough to warn of in the session's row. */
export function isNear(session: ISession, ends: IEnds, now: number): boolean {
  return ends.next !== undefined && now >= warnsAt(session, ends.next);
}
