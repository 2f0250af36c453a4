import { isFinal, ISession, kernelLabel, locationLabel, shortName } from './session';
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
export function matches(session: ISession, filter: string): boolean {
  const labels = Object.entries(session.labels ?? {}).map(([key, value]) => `${key}:${value}`);
  const text = [
    shortName(session.name),
    session.jupyterSession?.displayName ?? '',
    session.state,
    kernelLabel(session),
    locationLabel(session.name),
    ...labels
  ]
    .join(' ')
    .toLowerCase();
  return filter
    .toLowerCase()
    .split(/\s+/)
    .every(word => text.includes(word));
}

/** The rows of the two sections that pass the filter. */
export function sectionsOf(sessions: readonly ISession[], filter: string): ISections {
  const rows = newestFirst(sessions).filter(session => matches(session, filter));
  return {
    running: rows.filter(session => !isFinal(session.state)),
    ended: rows.filter(session => isFinal(session.state))
  };
}
