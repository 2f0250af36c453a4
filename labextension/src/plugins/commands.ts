import { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, InputDialog } from '@jupyterlab/apputils';
import { IDefaultFileBrowser } from '@jupyterlab/filebrowser';
import { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import { CommandIDs } from '../model/commands';
import { choices, newestFirst } from '../model/listing';
import { Ability, placeTitle } from '../model/location';
import { hasKernels, ISession, shortName, title } from '../model/session';
import { IKernelLinks, IRuntimeSessions } from '../state/tokens';
import { attempt, extend, remove, terminate } from './acting';
import { IOpening, openConsole, openNotebook, Which } from './opening';

const ROW = '.jp-RuntimeSessions-row';

interface ISessionCommand {
  id: string;
  /** What failed, when it fails. */
  what: string;
  label: (args: ReadonlyPartialJSONObject) => string;
  /** Whether the command makes sense for a session as it is now. */
  fits: (session: ISession) => boolean;
  /** What a session must be for that, in words. */
  needs: string;
  /** What it takes of the session's location, beside that it answers. */
  takes?: Ability;
  act: (session: ISession, args: ReadonlyPartialJSONObject) => Promise<void>;
}

/** The commands on one session. */
function sessionCommands(context: IOpening): ISessionCommand[] {
  const { store, links } = context;
  const which = (args: ReadonlyPartialJSONObject): Which =>
    args.kernel === 'new' ? 'new' : 'main';
  const on = (args: ReadonlyPartialJSONObject) =>
    which(args) === 'new' ? 'with a New Kernel' : 'Sharing the Main Kernel';
  const active = (session: ISession) => session.state === 'ACTIVE';
  const opens = (session: ISession) => active(session) && hasKernels(session);
  return [
    {
      id: CommandIDs.openNotebook,
      what: 'Opening a notebook',
      label: args => `Open Notebook ${on(args)}`,
      fits: opens,
      needs: 'an ACTIVE one with kernels',
      act: (session, args) => openNotebook(context, session, which(args))
    },
    {
      id: CommandIDs.openConsole,
      what: 'Opening a console',
      label: args => `Open Console ${on(args)}`,
      fits: opens,
      needs: 'an ACTIVE one with kernels',
      act: (session, args) => openConsole(context, session, which(args))
    },
    {
      id: CommandIDs.extend,
      what: 'Extending the session',
      label: () => 'Extend Session by One Hour',
      fits: active,
      needs: 'an ACTIVE one',
      takes: 'update',
      act: session => extend(store, links, session)
    },
    {
      id: CommandIDs.terminate,
      what: 'Terminating the session',
      label: () => 'Terminate Session…',
      fits: session => session.state === 'CREATING' || session.state === 'ACTIVE',
      needs: 'one that is CREATING or ACTIVE',
      act: session => terminate(store, links, session)
    },
    {
      id: CommandIDs.remove,
      what: 'Deleting the session',
      label: () => 'Delete Session…',
      fits: () => true,
      needs: 'any',
      act: session => remove(store, links, session)
    }
  ];
}

/** The session a command is for: named, or under the context menu, else asked for. */
async function chosen(
  app: JupyterFrontEnd,
  store: IRuntimeSessions,
  args: ReadonlyPartialJSONObject,
  fits: (session: ISession) => boolean
): Promise<ISession | undefined> {
  const named = target(app, args);
  if (named !== undefined) {
    const session = store.get(named);
    if (!session) {
      await attempt('The command', () =>
        Promise.reject(new Error(`session “${shortName(named)}” is not listed any more.`))
      );
    }
    return session;
  }
  const sessions = newestFirst(store.sessions).filter(fits);
  if (!sessions.length) {
    await attempt('The command', () =>
      Promise.reject(new Error('there is no session it applies to.'))
    );
    return undefined;
  }
  const items = choices(sessions, ({ name }) => placeTitle(store.locationOf(name), name));
  const answer = await InputDialog.getItem({ title: 'Which session?', items });
  return answer.value === null ? undefined : sessions[items.indexOf(answer.value)];
}

function target(app: JupyterFrontEnd, args: ReadonlyPartialJSONObject): string | undefined {
  if (typeof args.name === 'string') {
    return args.name;
  }
  const hit = args.context
    ? app.contextMenuHitTest(node => node.dataset.session !== undefined)
    : undefined;
  return hit?.dataset.session;
}

/** Why a command does nothing with a session as it is now. */
function unfit(session: ISession, needs: string): string {
  const what = hasKernels(session) ? session.state : `a Spark Connect session, ${session.state}`;
  return `session “${title(session)}” is ${what}; this takes ${needs}.`;
}

function register(context: IOpening, command: ISessionCommand): void {
  const { app, store } = context;
  app.commands.addCommand(command.id, {
    label: command.label,
    isVisible: args => {
      const name = args.context ? target(app, args) : undefined;
      const session = name === undefined ? undefined : store.get(name);
      return session === undefined || command.fits(session);
    },
    isEnabled: args => {
      const name = args.context ? target(app, args) : undefined;
      return name === undefined || !store.blocked(name, command.takes);
    },
    execute: async args => {
      const session = await chosen(app, store, args, command.fits);
      if (session) {
        const why = command.fits(session)
          ? store.blocked(session.name, command.takes)
          : unfit(session, command.needs);
        await attempt(command.what, () =>
          why ? Promise.reject(new Error(why)) : command.act(session, args)
        );
      }
    },
    describedBy: {
      args: { type: 'object', properties: { name: { type: 'string' }, kernel: { type: 'string' } } }
    }
  });
}

function addContextMenu(app: JupyterFrontEnd): void {
  const items: [string, ReadonlyPartialJSONObject][] = [
    [CommandIDs.showDetail, {}],
    [CommandIDs.openNotebook, {}],
    [CommandIDs.openNotebook, { kernel: 'new' }],
    [CommandIDs.openConsole, {}],
    [CommandIDs.openConsole, { kernel: 'new' }],
    [CommandIDs.extend, {}],
    [CommandIDs.terminate, {}],
    [CommandIDs.remove, {}]
  ];
  items.forEach(([command, args], rank) => {
    app.contextMenu.addItem({ command, args: { ...args, context: true }, selector: ROW, rank });
  });
}

/** Registers what can be done with sessions: for the palette, the context menu and other extensions. */
export const commandsPlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-sessions:commands',
  description: 'Adds the commands that open, extend and end sessions.',
  autoStart: true,
  requires: [IRuntimeSessions, IKernelLinks],
  optional: [IDefaultFileBrowser, ICommandPalette],
  activate: (
    app: JupyterFrontEnd,
    store: IRuntimeSessions,
    links: IKernelLinks,
    browser: IDefaultFileBrowser | null,
    palette: ICommandPalette | null
  ) => {
    const commands = sessionCommands({ app, store, links, browser });
    commands.forEach(command => register({ app, store, links, browser }, command));
    addContextMenu(app);
    commands
      .map(({ id }) => id)
      .forEach(command => palette?.addItem({ command, category: 'Sessions' }));
    [CommandIDs.openNotebook, CommandIDs.openConsole].forEach(command =>
      palette?.addItem({ command, args: { kernel: 'new' }, category: 'Sessions' })
    );
  }
};

export { chosen };
