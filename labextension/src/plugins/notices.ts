import { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';

import { CommandIDs } from '../model/commands';
import { endsOf } from '../model/ends';
import { isFinal, ISession, title } from '../model/session';
import { firstLine, warning } from '../model/words';
import { IKernelLinks, IRuntimeSessions, ITransition } from '../state/tokens';
import { EndWarnings, IWarning } from '../state/warnings';
import { attempt, detailAction } from './acting';

/** Looked at least this often, since a kernel's activity moves an idle end without a word. */
const LONGEST = 60000;

/** Tells what a person should know of although the panel is closed: an end that nears, an end, a failure. */
export const noticesPlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-sessions:notices',
  description: 'Warns before a session ends and tells when notebooks lost theirs.',
  autoStart: true,
  requires: [IRuntimeSessions, IKernelLinks],
  activate: (app: JupyterFrontEnd, store: IRuntimeSessions, links: IKernelLinks) => {
    const told = new Set<string>();
    // What is told before Lab shows notifications is listed, but nobody sees it come.
    void app.restored.then(() => warnOfEnds(app, store, links));
    store.transition.connect((_, change) => tellEnd(app, links, change, told));
  }
};

function warnOfEnds(app: JupyterFrontEnd, store: IRuntimeSessions, links: IKernelLinks): void {
  const warnings = new EndWarnings();
  const shown = new Map<string, string>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const look = () => {
    clearTimeout(timer);
    const now = Date.now();
    const verdict = warnings.judge(
      store.sessions,
      session => endsOf(session, links.activity(session.name)),
      now
    );
    verdict.due.forEach(due => {
      const canExtend = !store.blocked(due.session.name, 'update');
      shown.set(due.session.uuid, warn(app, due, now, canExtend));
    });
    for (const uuid of verdict.over) {
      const id = shown.get(uuid);
      shown.delete(uuid);
      // Without an id every notification would go.
      if (id !== undefined) {
        Notification.dismiss(id);
      }
    }
    if (store.sessions.some(session => session.state === 'ACTIVE')) {
      timer = setTimeout(look, Math.min(LONGEST, Math.max(1000, verdict.next - now)));
    }
  };
  store.changed.connect(look);
  links.changed.connect(look);
  look();
}

function warn(app: JupyterFrontEnd, due: IWarning, now: number, canExtend: boolean): string {
  const { name } = due.session;
  const extend: Notification.IAction = {
    label: 'Extend by 1 h',
    displayType: 'accent',
    callback: () => void app.commands.execute(CommandIDs.extend, { name })
  };
  const detail = detailAction(app.commands.execute.bind(app.commands), name);
  return Notification.warning(warning(title(due.session), due.end, now), {
    autoClose: false,
    actions: canExtend ? [extend, detail] : [detail]
  });
}

function tellEnd(
  app: JupyterFrontEnd,
  links: IKernelLinks,
  change: ITransition,
  told: Set<string>
): void {
  const { session, oldState } = change;
  if (
    !oldState ||
    told.has(session.uuid) ||
    !(session.state === 'TERMINATING' || isFinal(session.state))
  ) {
    return;
  }
  const documents = links.documents(session.name);
  if (!documents.length && session.state !== 'FAILED') {
    return;
  }
  told.add(session.uuid);
  links.forget(session.name);
  const detail = detailAction(app.commands.execute.bind(app.commands), session.name);
  const notebook = documents.find(path => path.endsWith('.ipynb'));
  const choose: Notification.IAction = {
    label: 'Choose kernel…',
    displayType: 'accent',
    callback: () => void chooseKernel(app, notebook ?? '')
  };
  const actions = notebook !== undefined ? [choose, detail] : [detail];
  const emit = session.state === 'FAILED' ? Notification.error : Notification.warning;
  emit(farewell(session, documents), { autoClose: false, actions });
}

/** Bring a notebook to the front and ask which kernel it is to have. */
async function chooseKernel(app: JupyterFrontEnd, path: string): Promise<void> {
  await attempt('Choosing a kernel', async () => {
    await app.commands.execute('docmanager:open', { path });
    await app.commands.execute('notebook:change-kernel', { activate: true });
  });
}

function farewell(session: ISession, documents: readonly string[]): string {
  const reason = firstLine(session.stateMessage) || 'no reason was given';
  const verb = session.state === 'FAILED' ? 'failed' : 'ended';
  const lost = documents.length ? ` Without a kernel now: ${documents.join(', ')}.` : '';
  return `Session “${title(session)}” ${verb}: ${reason.replace(/\.$/, '')}.${lost}`;
}
