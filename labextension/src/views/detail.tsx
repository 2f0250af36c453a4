import React from 'react';

import { CommandIDs } from '../model/commands';
import { placeTitle } from '../model/location';
import { hasKernels, isFinal, ISession, shortName, title } from '../model/session';
import { formatExact, parseTime } from '../model/time';
import { knownUntil, stalePhrase, troubleMessage } from '../model/trouble';
import { useNow } from './clock';
import { IViewContext } from './context';
import { Configuration, Kernels, Runtime } from './facts';
import { useKeptFocus } from './focus';
import { History } from './history';
import { Limits } from './limits';
import { Log } from './log';
import { Chips } from './row';
import { useSignals } from './signals';
import { StateSign, StateWord } from './statemark';

/** Everything of one session; it leads with the reason where the session failed. */
export function Detail(props: IViewContext & { name: string }): JSX.Element {
  const { store, links, clock, name } = props;
  useSignals(store.changed, links.changed);
  const now = useNow(clock);
  const session = store.get(name);
  const trouble = store.trouble(name);
  if (!session) {
    const what = store.loaded ? 'was deleted' : 'is being looked for';
    return (
      <p className="jp-RuntimeSessions-note">
        Session “{shortName(name)}” {what}.
      </p>
    );
  }
  return (
    <article
      className={`jp-RuntimeSessions-detail${trouble?.stale ? ' jp-mod-stale' : ''}`}
      aria-label={`Session ${title(session)}`}
    >
      <Head {...props} session={session} />
      <Stale {...props} now={now} />
      {session.state === 'FAILED' && <Reason session={session} />}
      <History session={session} now={knownUntil(trouble, now)} />
      <Ended session={session} />
      <Limits {...props} session={session} now={now} />
      <Kernels {...props} session={session} now={now} />
      <Configuration {...props} session={session} />
      <Runtime {...props} session={session} />
      <Log {...props} session={session} />
    </article>
  );
}

function Head(props: IViewContext & { session: ISession }): JSX.Element {
  const { session, commands } = props;
  const id = shortName(session.name);
  return (
    <header>
      <div className="jp-RuntimeSessions-headline">
        <StateSign state={session.state} />
        <h2 title={session.name}>{title(session)}</h2>
        <StateWord state={session.state} />
        {id !== title(session) && <code>{id}</code>}
        <Chips labels={session.labels} />
      </div>
      <Actions session={session} commands={commands} blocked={props.store.blocked(session.name)} />
    </header>
  );
}

/** Said while the session's location does not answer. */
function Stale(props: IViewContext & { name: string; now: number }): JSX.Element | null {
  const { store, name, now } = props;
  const trouble = store.trouble(name);
  if (!trouble?.stale) {
    return null;
  }
  const place = placeTitle(store.locationOf(name), name);
  const message = troubleMessage(trouble);
  return (
    <p className="jp-RuntimeSessions-stale" role="status">
      {place} is {stalePhrase(trouble, now)}.{message ? ` ${message}` : ''}
    </p>
  );
}

/** What can be done now. Two notebooks on the main kernel share their variables; a new kernel shares none. */
function Actions(
  props: Pick<IViewContext, 'commands'> & { session: ISession; blocked: string }
): JSX.Element {
  const { session, commands, blocked } = props;
  const button = (label: string, caption: string, id: string, args = {}, look = '') => (
    <button
      key={label}
      className={`jp-mod-styled jp-RuntimeSessions-small ${look}`}
      title={blocked || caption}
      disabled={blocked !== ''}
      onClick={() => void commands.execute(id, { name: session.name, ...args })}
    >
      {label}
    </button>
  );
  const open = [
    button(
      'Notebook',
      'Open a notebook on the main kernel, sharing its variables',
      CommandIDs.openNotebook,
      {},
      'jp-mod-accept'
    ),
    button(
      'Notebook, new kernel',
      'Open a notebook on a kernel of its own',
      CommandIDs.openNotebook,
      {
        kernel: 'new'
      }
    ),
    button(
      'Console',
      'Open a console on the main kernel, sharing its variables',
      CommandIDs.openConsole
    )
  ];
  const live = session.state === 'CREATING' || session.state === 'ACTIVE';
  const kept = useKeptFocus();
  return (
    <div className="jp-RuntimeSessions-buttons" {...kept}>
      {session.state === 'ACTIVE' && hasKernels(session) && open}
      {live && button('Terminate', 'End the session', CommandIDs.terminate)}
      {button('Delete', 'Remove the session from the list', CommandIDs.remove)}
    </div>
  );
}

function Reason(props: { session: ISession }): JSX.Element {
  const { session } = props;
  return (
    <section className="jp-RuntimeSessions-card" role="alert" aria-label="Reason">
      <h3>Why it failed</h3>
      <p className="jp-RuntimeSessions-text">{session.stateMessage || 'No reason was given.'}</p>
    </section>
  );
}

/** Why and when a session that ended well did so. */
function Ended(props: { session: ISession }): JSX.Element | null {
  const { session } = props;
  if (!isFinal(session.state) || session.state === 'FAILED') {
    return null;
  }
  return (
    <p className="jp-RuntimeSessions-end">
      Ended {formatExact(parseTime(session.stateTime))}
      {session.stateMessage ? `: ${session.stateMessage}` : ''}
    </p>
  );
}
