import { JupyterFrontEnd } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { IDefaultFileBrowser } from '@jupyterlab/filebrowser';

import { mainKernel } from '../model/mainkernel';
import { ISession, title } from '../model/session';
import { IKernelLinks, IRuntimeSessions } from '../state/tokens';

/** `main`: the session's main kernel, so that variables are shared; `new`: a kernel of its own. */
export type Which = 'main' | 'new';

export interface IOpening {
  app: JupyterFrontEnd;
  store: IRuntimeSessions;
  links: IKernelLinks;
  browser: IDefaultFileBrowser | null;
}

type Preference = { name: string; id?: string };

/** Open a new untitled notebook on a session, in the file browser's folder. */
export async function openNotebook(
  context: IOpening,
  session: ISession,
  which: Which
): Promise<void> {
  const { app, browser } = context;
  const kernel = await preferenceOf(context, session, which);
  const path = browser?.model.path ?? '';
  const model: { path: string } = await app.commands.execute('docmanager:new-untitled', {
    path,
    type: 'notebook'
  });
  await app.commands.execute('docmanager:open', { path: model.path, factory: 'Notebook', kernel });
}

/** Open a console on a session. */
export async function openConsole(
  context: IOpening,
  session: ISession,
  which: Which
): Promise<void> {
  const { app, browser } = context;
  const kernelPreference = await preferenceOf(context, session, which);
  await app.commands.execute('console:create', {
    kernelPreference,
    cwd: browser?.model.path ?? '',
    activate: true
  });
}

async function preferenceOf(
  context: IOpening,
  session: ISession,
  which: Which
): Promise<Preference> {
  const { store, links } = context;
  if (!links.offered(session.name).length) {
    await waiting(session, links);
  }
  const [spec] = links.offered(session.name);
  if (!spec) {
    const why =
      session.state === 'ACTIVE'
        ? 'its location says nothing of any. Look at the location, then try again.'
        : `it is ${session.state}. Wait until it is ACTIVE, then try again.`;
    throw new Error(`Session “${title(session)}” offers no kernel: ${why}`);
  }
  const main =
    which === 'main' ? mainKernel(session, await store.listKernels(session.name)) : undefined;
  return main ? { name: spec.name, id: main.id } : { name: spec.name };
}

/** Wait until a session offers a kernel; what takes long is said meanwhile. */
async function waiting(session: ISession, links: IKernelLinks): Promise<void> {
  if (session.state !== 'ACTIVE') {
    return links.refresh();
  }
  const note = Notification.emit(
    `Waiting for the kernel of session “${title(session)}”…`,
    'in-progress',
    { autoClose: false }
  );
  try {
    await links.awaitOffers(session.name);
  } finally {
    Notification.dismiss(note);
  }
}
