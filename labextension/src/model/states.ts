import { State } from './session';

/** How a state looks: a sign of its own and a style class, beside its word. */
export interface IStateLook {
  sign: string;
  word: string;
  className: string;
}

const LOOKS: Record<State, IStateLook> = {
  STATE_UNSPECIFIED: { sign: '?', word: 'UNKNOWN', className: 'jp-RuntimeSessions-unknown' },
  CREATING: { sign: '◐', word: 'CREATING', className: 'jp-RuntimeSessions-creating' },
  ACTIVE: { sign: '●', word: 'ACTIVE', className: 'jp-RuntimeSessions-active' },
  TERMINATING: { sign: '◌', word: 'TERMINATING', className: 'jp-RuntimeSessions-terminating' },
  TERMINATED: { sign: '■', word: 'TERMINATED', className: 'jp-RuntimeSessions-terminated' },
  FAILED: { sign: '✕', word: 'FAILED', className: 'jp-RuntimeSessions-failed' }
};

/** Give the look of a state; one this program does not know is shown as unknown. */
export function lookOf(state: State): IStateLook {
  return LOOKS[state] ?? LOOKS.STATE_UNSPECIFIED;
}
