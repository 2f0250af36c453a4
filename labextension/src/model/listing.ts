import { isFinal, ISession, kernelLabel, locationLabel, parentOf, shortName } from './session';
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
