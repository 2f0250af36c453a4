import { limitOf } from './location';
import { ILocation, ISession } from './session';
import { parseDuration, parseTime } from './time';

/** What is known of a session's kernels: the parts of Jupyter's kernel model that decide idleness. */
export interface IActivity {
  busy: boolean;
  /** Milliseconds since the epoch; NaN where unknown. */
  lastActivity: number;
}

export type EndCause = 'ttl' | 'idleTtl';

export interface IEnd {
  /** Milliseconds since the epoch. */
  time: number;
  cause: EndCause;
}

export interface IEnds {
  /** The end by age, absent where no limit is set. */
  latest?: IEnd;
  /** The end by idleness if nothing runs from now on; absent while a kernel is busy. */
  idle?: IEnd;
  /** The earlier of both. */
  next?: IEnd;
  /** The idle limit in seconds, while a busy kernel holds it up. */
  held?: number;
}

/** What the extend button adds, in seconds. */
export const HOUR = 3600;

/** The longest limit that the API knows, in seconds: 14 days. */
const LONGEST = 14 * 24 * 3600;

/** How long before an end it is warned of, in milliseconds. */
export const WARNING = 10 * 60 * 1000;

/** When the limits will end an ACTIVE session; nothing for any other state. */
export function endsOf(session: ISession, kernels: readonly IActivity[]): IEnds {
  if (session.state !== 'ACTIVE') {
    return {};
  }
  const limits = session.environmentConfig?.executionConfig ?? {};
  const active = parseTime(session.stateTime);
  const ttl = parseDuration(limits.ttl);
  const idleTtl = parseDuration(limits.idleTtl);
  const ends: IEnds = {};
  if (Number.isFinite(ttl) && Number.isFinite(active)) {
    ends.latest = { time: active + ttl * 1000, cause: 'ttl' };
  }
  if (Number.isFinite(idleTtl) && kernels.some(kernel => kernel.busy)) {
    ends.held = idleTtl;
  } else if (Number.isFinite(idleTtl) && Number.isFinite(active)) {
    const times = kernels.map(kernel => kernel.lastActivity).filter(Number.isFinite);
    ends.idle = { time: Math.max(active, ...times) + idleTtl * 1000, cause: 'idleTtl' };
  }
  const both = [ends.idle, ends.latest].filter((end): end is IEnd => end !== undefined);
  ends.next = both.sort((a, b) => a.time - b.time)[0];
  return ends;
}

/** The moment from which an end is warned of: ten minutes before, of a short limit its half. */
export function warnsAt(session: ISession, end: IEnd): number {
  const limits = session.environmentConfig?.executionConfig ?? {};
  const limit = parseDuration(end.cause === 'ttl' ? limits.ttl : limits.idleTtl) * 1000;
  return end.time - (limit < 2 * WARNING ? limit / 2 : WARNING);
}

/** The longest limits of a location in seconds; the API's own where it names none. */
export function longestOf(location: ILocation | undefined): Record<EndCause, number> {
  const read = (key: 'maxTtl' | 'maxIdleTtl') => {
    const seconds = parseDuration(limitOf(location, key));
    return Number.isFinite(seconds) ? seconds : LONGEST;
  };
  return { ttl: read('maxTtl'), idleTtl: read('maxIdleTtl') };
}

/**
 * The limits that let a session live `by` seconds longer than it would, as the fields to PATCH.
 *
 * Whichever limit would end it before then is moved, up to the `longest` allowed: nothing where both are there. The
 * age limit counts from ACTIVE, the idle limit from the last activity; both are durations on the wire.
 */
export function extended(
  session: ISession,
  ends: IEnds,
  by: number,
  longest: Record<EndCause, number> = longestOf(undefined)
): Partial<Record<EndCause, string>> {
  const limits = session.environmentConfig?.executionConfig ?? {};
  const fields: Partial<Record<EndCause, string>> = {};
  const target = (ends.next?.time ?? 0) + by * 1000;
  for (const end of [ends.latest, ends.idle]) {
    if (end && end.time < target) {
      const now = parseDuration(limits[end.cause]);
      const wanted = Math.min(Math.ceil(now + (target - end.time) / 1000), longest[end.cause]);
      if (wanted > now) {
        fields[end.cause] = `${wanted}s`;
      }
    }
  }
  return fields;
}
