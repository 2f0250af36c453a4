import { ISession, State } from '../src/model/session';

export const PARENT = 'projects/local/locations/local';
export const T0 = Date.UTC(2026, 0, 2, 3, 4, 5);

export function at(seconds: number): string {
  return new Date(T0 + seconds * 1000).toISOString();
}

/** A session that was CREATING from T0 to T0 + 4 s and is in `state` since then. */
export function session(
  id: string,
  state: State = 'ACTIVE',
  more: Partial<ISession> = {}
): ISession {
  return {
    name: `${PARENT}/sessions/${id}`,
    uuid: `uuid-of-${id}`,
    createTime: at(0),
    state,
    stateTime: state === 'CREATING' ? at(0) : at(4),
    stateHistory:
      state === 'CREATING'
        ? []
        : [{ state: 'CREATING', stateMessage: 'starting', stateStartTime: at(0) }],
    environmentConfig: { executionConfig: { ttl: '7200s', idleTtl: '3600s' } },
    ...more
  };
}
