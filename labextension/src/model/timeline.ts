import { isFinal, ISession, State } from './session';
import { parseTime } from './time';

/** One state a session was or is in. Times are milliseconds since the epoch. */
export interface ISpan {
  state: State;
  message: string;
  start: number;
  /** When it was left; for the current state now, for a final state its start. */
  end: number;
  /** Seconds. */
  duration: number;
  /** Whether it is the state the session is in. */
  current: boolean;
}

/** A span with its place on the drawn line, as parts of 1. */
export interface IMark extends ISpan {
  left: number;
  width: number;
}

/** The states of a session from the first to the one it is in, which runs on until `now`. */
export function spansOf(session: ISession, now: number): ISpan[] {
  const entries = (session.stateHistory ?? []).map(entry => ({
    state: entry.state,
    message: entry.stateMessage ?? '',
    start: parseTime(entry.stateStartTime)
  }));
  entries.push({
    state: session.state,
    message: session.stateMessage ?? '',
    start: parseTime(session.stateTime ?? session.createTime)
  });
  return entries.map((entry, index) => {
    const current = index === entries.length - 1;
    const open = isFinal(entry.state) ? entry.start : Math.max(now, entry.start);
    const end = current ? open : entries[index + 1].start;
    return { ...entry, end, duration: Math.max(0, end - entry.start) / 1000, current };
  });
}

/**
 * Place spans on a line to scale, none narrower than `floor` (a part of 1).
 *
 * What the floor adds to short spans is taken from the long ones in proportion to what they have above it.
 */
export function layOut(spans: readonly ISpan[], floor = 0.08): IMark[] {
  if (!spans.length) {
    return [];
  }
  const least = Math.min(floor, 1 / spans.length);
  const total = spans.reduce((sum, span) => sum + span.duration, 0);
  const widths = total > 0 ? shared(spans, total, least) : spans.map(() => 1 / spans.length);
  let left = 0;
  return spans.map((span, index) => {
    const mark = { ...span, left, width: widths[index] };
    left += widths[index];
    return mark;
  });
}

function shared(spans: readonly ISpan[], total: number, least: number): number[] {
  const wanted = spans.map(span => Math.max(span.duration / total, least));
  const over = wanted.reduce((sum, width) => sum + width, 0) - 1;
  const spare = wanted.reduce((sum, width) => sum + width - least, 0);
  return wanted.map(width => (spare > 0 ? width - (over * (width - least)) / spare : width));
}
