import { CommandRegistry } from '@lumino/commands';

import { IRuntimeSessions } from '../state/tokens';
import { KernelLinks } from '../state/kernels';
import { Clock } from './clock';

/** What every view needs: the sessions, their kernels, the time, and how to act. */
export interface IViewContext {
  store: IRuntimeSessions;
  links: KernelLinks;
  clock: Clock;
  commands: CommandRegistry;
}
