import {
  isFinal,
  ISession,
  kernelLabel,
  locationLabel,
  parentOf,
  shortName,
  title
} from './session';
import { parseTime } from './time';

export interface ISections {
  running: ISession[];
  ended: ISession[];
}

/** Newest first, equal times by name. */
export function newestFirst(sessions: readonly ISession[]): ISession[] {
  return [...sessions].sort(
    (a, b) => parseTime(b.createTime) - parseTime(a.createTime) || a.name.localeCompare(b.name)
  );
}

/** Whether every word of the filter stands in the session's name, labels, state, kernel or location. */
export function matches(session: ISession, filter: string, place = ''): boolean {
  const labels = Object.entries(session.labels ?? {}).map(([key, value]) => `${key}:${value}`);
  const text = [
    shortName(session.name),
    session.jupyterSession?.displayName ?? '',
    session.state,
    kernelLabel(session),
    locationLabel(session.name),
    place,
    ...labels
  ]
    .join(' ')
    .toLowerCase();
  return filter
    .toLowerCase()
    .split(/\s+/)
    .every(word => text.includes(word));
}

/**
 * The row that takes the focus of one that is gone: the same, wherever it moved, else the next that is left, else the
 * last before it; empty where none is.
 *
 * @param before - the names of the rows as they stood
 * @param after - as they stand now
 */
export function focusAfter(
  before: readonly string[],
  after: readonly string[],
  name: string
): string {
  if (after.includes(name)) {
    return name;
  }
  const at = before.indexOf(name);
  const left = (row: string) => after.includes(row);
  return (
    before.slice(at + 1).find(left) ?? before.slice(0, Math.max(0, at)).reverse().find(left) ?? ''
  );
}

/**
 * The words to choose a session by, each of one session alone: its title, with its id and its location where another
 * would read the same.
 */
export function choices(
  sessions: readonly ISession[],
  titleOf: (session: ISession) => string
): string[] {
  const steps: ((session: ISession) => string)[] = [
    title,
    session => `${title(session)} (${shortName(session.name)})`,
    session => `${title(session)} (${shortName(session.name)}, ${titleOf(session)})`,
    session => session.name
  ];
  const words = steps.map(step => sessions.map(step));
  const alone = (row: readonly string[], word: string) =>
    row.indexOf(word) === row.lastIndexOf(word);
  return sessions.map((_, index) => {
    const row = words.find(row => alone(row, row[index])) ?? words[words.length - 1];
    return row[index];
  });
}

/**
 * The rows of the two sections that pass the filter.
 *
 * @param place - a location whose sessions alone are wanted, or empty
 * @param titleOf - what a session's location is called
 */
export function sectionsOf(
  sessions: readonly ISession[],
  filter: string,
  place = '',
  titleOf: (session: ISession) => string = session => locationLabel(session.name)
): ISections {
  const rows = newestFirst(sessions)
    .filter(session => !place || parentOf(session.name) === place)
    .filter(session => matches(session, filter, titleOf(session)));
  return {
    running: rows.filter(session => !isFinal(session.state)),
    ended: rows.filter(session => isFinal(session.state))
  };
}
