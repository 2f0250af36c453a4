import { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { IStateDB } from '@jupyterlab/statedb';
import { addIcon, refreshIcon } from '@jupyterlab/ui-components';

import { CommandIDs } from '../model/commands';
import { IRuntimeSessions } from '../state/tokens';
import { showConnectDialog } from '../views/connectdialog';
import { CreateDialog } from '../views/createdialog';
import { attempt } from './acting';

/** Where the location used last is kept, for this user's next form. */
const LAST_PLACE = 'jupyter-sessions:last-location';

/** Registers what is not about one session: making one, listing again, connecting a location. */
export const makingPlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-sessions:making',
  description: 'Adds the commands that create a session, list again and connect a location.',
  autoStart: true,
  requires: [IRuntimeSessions],
  optional: [IStateDB, ICommandPalette],
  activate: (
    app: JupyterFrontEnd,
    store: IRuntimeSessions,
    state: IStateDB | null,
    palette: ICommandPalette | null
  ) => {
    const { commands } = app;
    commands.addCommand(CommandIDs.create, {
      label: 'New Session…',
      icon: addIcon,
      execute: () => create(app, store, state)
    });
    commands.addCommand(CommandIDs.refresh, {
      label: 'List Sessions Again',
      icon: refreshIcon,
      execute: () => store.refresh()
    });
    commands.addCommand(CommandIDs.connect, {
      label: 'Connect a Location…',
      execute: () =>
        attempt('Asking how a location is connected', async () =>
          showConnectDialog(await store.connectHelp())
        )
    });
    const { create: make, refresh, connect } = CommandIDs;
    [make, refresh, connect].forEach(
      command => void palette?.addItem({ command, category: 'Sessions' })
    );
  }
};

/** Ask for a new session; its row gets the focus. Gives its name, or nothing where none was made. */
async function create(
  app: JupyterFrontEnd,
  store: IRuntimeSessions,
  state: IStateDB | null
): Promise<string | undefined> {
  const last = await state?.fetch(LAST_PLACE).catch(() => undefined);
  const dialog = new CreateDialog(store, typeof last === 'string' ? last : '');
  await dialog.launch();
  const name = dialog.created?.name;
  if (name === undefined) {
    return undefined;
  }
  if (store.locations.length > 1) {
    void state?.save(LAST_PLACE, dialog.place);
  }
  if (app.commands.hasCommand(CommandIDs.showRow)) {
    // The dialog gives the focus back to where it came from as it closes.
    requestAnimationFrame(() => void app.commands.execute(CommandIDs.showRow, { name }));
  }
  return name;
}
