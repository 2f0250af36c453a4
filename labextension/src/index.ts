import { commandsPlugin } from './plugins/commands';
import { makingPlugin } from './plugins/making';
import { noticesPlugin } from './plugins/notices';
import { panelPlugin } from './plugins/panel';
import { kernelsPlugin, sessionsPlugin } from './plugins/sessions';

export { IRuntimeSessions, type ITransition } from './state/tokens';

export default [
  sessionsPlugin,
  kernelsPlugin,
  commandsPlugin,
  makingPlugin,
  panelPlugin,
  noticesPlugin
];
