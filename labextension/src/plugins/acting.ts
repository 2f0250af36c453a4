import { Dialog, Notification, showDialog } from '@jupyterlab/apputils';

import { CommandIDs } from '../model/commands';
import { EndCause, endsOf, extended, HOUR, IEnds, longestOf } from '../model/ends';
import { isFinal, ISession, title } from '../model/session';
import { endSentence } from '../model/words';
import { IKernelLinks, IRuntimeSessions } from '../state/tokens';

/** Do something that may fail, and tell the failure where it does. */
export async function attempt(what: string, action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    Notification.error(`${what} failed: ${reason}`, { autoClose: false });
  }
}

/** The longest limits that a session may have, in seconds. */
function longestFor(store: IRuntimeSessions, session: ISession): Record<EndCause, number> {
  return longestOf(store.locationOf(session.name));
}

/** Let a session live an hour longer, and say until when. */
export async function extend(
  store: IRuntimeSessions,
  links: IKernelLinks,
  session: ISession
): Promise<void> {
  const ends = endsOf(session, links.activity(session.name));
  const limits = extended(session, ends, HOUR, longestFor(store, session));
  if (!Object.keys(limits).length) {
    tellUnmoved(session, ends);
    return;
  }
  await store.setLimits(session.name, limits);
  const now = store.get(session.name) ?? session;
  const then = endSentence(endsOf(now, links.activity(session.name)), Date.now());
  Notification.success(`Session “${title(session)}”: ${then}.`, { autoClose: 5000 });
}

function tellUnmoved(session: ISession, ends: IEnds): void {
  const why = ends.next
    ? 'this is as long as its location lets a session live'
    : 'there is no end to put off';
  const text = `Session “${title(session)}”: ${endSentence(ends, Date.now())}; ${why}.`;
  Notification.warning(text, { autoClose: false });
}

/** Ask, then end a session. */
export async function terminate(
  store: IRuntimeSessions,
  links: IKernelLinks,
  session: ISession
): Promise<void> {
  const body = `Its kernels stop and their variables are lost.${affected(links, session)} The session stays listed with its history and log.`;
  if (await sure(`Terminate session “${title(session)}”?`, body, 'Terminate')) {
    await store.terminate(session.name);
  }
}

/** Ask, then remove a session; one that lives is ended first, and the question says so. */
export async function remove(
  store: IRuntimeSessions,
  links: IKernelLinks,
  session: ISession
): Promise<void> {
  const live = `It is ${session.state} and will be ended: its kernels stop and their variables are lost.${affected(links, session)} `;
  const body = `${isFinal(session.state) ? '' : live}Its history and log are removed. This cannot be undone.`;
  if (await sure(`Delete session “${title(session)}”?`, body, 'Delete')) {
    await store.remove(session.name);
  }
}

/** Action of a notification that shows a session's detail. */
export function detailAction(
  execute: (id: string, args: { name: string }) => unknown,
  name: string
) {
  return { label: 'Show detail', callback: () => void execute(CommandIDs.showDetail, { name }) };
}

function affected(links: IKernelLinks, session: ISession): string {
  const documents = links.documents(session.name);
  return documents.length ? ` Open on it: ${documents.join(', ')}.` : '';
}

async function sure(question: string, body: string, label: string): Promise<boolean> {
  const answer = await showDialog({
    title: question,
    body,
    buttons: [Dialog.cancelButton(), Dialog.warnButton({ label })],
    // As Lab asks before it deletes a file: Enter alone loses nothing.
    defaultButton: 0
  });
  return answer.button.accept;
}
