import {
  ILabShell,
  ILayoutRestorer,
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette, MainAreaWidget, WidgetTracker } from '@jupyterlab/apputils';

import { CommandIDs } from '../model/commands';
import { IKernelLinks, IRuntimeSessions } from '../state/tokens';
import { IViewContext } from '../views/context';
import { makeDetail } from '../views/detailwidget';
import { SessionsPanel } from '../views/panel';
import { chosen } from './commands';

/** The running panel's rank is 200; the file browser's is 100, the table of contents' 400. */
const RANK = 210;

/** Shows the panel, and each session's detail in the main area. */
export const panelPlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-sessions:panel',
  description: 'Adds the panel of sessions and their detail.',
  autoStart: true,
  requires: [IRuntimeSessions, IKernelLinks],
  optional: [ILabShell, ILayoutRestorer, ICommandPalette],
  activate: (
    app: JupyterFrontEnd,
    store: IRuntimeSessions,
    links: IKernelLinks,
    labShell: ILabShell | null,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null
  ) => {
    const { commands, shell } = app;
    const panel = new SessionsPanel({ store, links, commands });
    shell.add(panel, 'left', { rank: RANK, type: 'Sessions' });
    restorer?.add(panel, panel.id);
    // Notebook's main area holds its one document.
    addDetails(app, { store, links, commands }, labShell ? 'main' : 'right', restorer);
    commands.addCommand(CommandIDs.showPanel, {
      label: 'Show Sessions',
      execute: () => shell.activateById(panel.id)
    });
    commands.addCommand(CommandIDs.showRow, {
      label: 'Show Session in Panel',
      execute: args => {
        if (typeof args.name === 'string') {
          shell.activateById(panel.id);
          panel.reveal(args.name);
        }
      },
      describedBy: { args: { type: 'object', properties: { name: { type: 'string' } } } }
    });
    palette?.addItem({ command: CommandIDs.showPanel, category: 'Sessions' });
    palette?.addItem({ command: CommandIDs.showDetail, category: 'Sessions' });
  }
};

function addDetails(
  app: JupyterFrontEnd,
  context: Omit<IViewContext, 'clock'>,
  area: string,
  restorer: ILayoutRestorer | null
): void {
  const { commands, shell } = app;
  const tracker = new WidgetTracker<MainAreaWidget>({ namespace: 'jupyter-sessions' });
  const names = new Map<MainAreaWidget, string>();
  const show = (name: string) => {
    const open = tracker.find(widget => names.get(widget) === name);
    const widget = open ?? makeDetail(context, name);
    if (!open) {
      names.set(widget, name);
      widget.disposed.connect(() => names.delete(widget));
      void tracker.add(widget);
      shell.add(widget, area, { type: 'Sessions' });
    }
    shell.activateById(widget.id);
  };
  commands.addCommand(CommandIDs.showDetail, {
    label: 'Show Session Detail',
    execute: async args => {
      // A restored layout names a session before the first list is here.
      const name = args.restored
        ? args.name
        : (await chosen(app, context.store, args, () => true))?.name;
      if (typeof name === 'string') {
        show(name);
      }
    },
    describedBy: { args: { type: 'object', properties: { name: { type: 'string' } } } }
  });
  void restorer?.restore(tracker, {
    command: CommandIDs.showDetail,
    args: widget => ({ name: names.get(widget) ?? '', restored: true }),
    name: widget => names.get(widget) ?? ''
  });
}
