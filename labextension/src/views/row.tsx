import {
  closeIcon,
  deleteIcon,
  ellipsesIcon,
  LabIcon,
  notebookIcon
} from '@jupyterlab/ui-components';
import React from 'react';

import { CommandIDs } from '../model/commands';
import { endsOf, IEnds } from '../model/ends';
import { isUpstream, ITrouble, placeTitle } from '../model/location';
import { hasKernels, isFinal, ISession, kernelLabel, shortName, title } from '../model/session';
import { lookOf } from '../model/states';
import { formatDuration, formatExact, formatMoment, parseTime } from '../model/time';
import { knownUntil, stalePhrase } from '../model/trouble';
import { endPhrase, firstLine, startingPhrase } from '../model/words';
import { isNear } from '../state/warnings';
import { IViewContext } from './context';
import { StateSign, StateWord } from './statemark';

interface IRowProps extends IViewContext {
  session: ISession;
  now: number;
  /** Whether Tab reaches this row; arrows move between the others. */
  tabbable: boolean;
  onFocus: (name: string) => void;
}

/** One session in the list. Its keys are handled by the list. */
export function SessionRow(props: IRowProps): JSX.Element {
  const { session, now, links, commands, store } = props;
  const trouble = store.trouble(session.name);
  const stale = trouble?.stale ? trouble : undefined;
  const place = placeOf(props);
  const ends = endsOf(session, links.activity(session.name));
  const near = isNear(session, ends, now);
  const age = ageOf(session, knownUntil(trouble, now));
  const act = (id: string) => void commands.execute(id, { name: session.name });
  return (
    <li
      className={`jp-RuntimeSessions-row${near ? ' jp-mod-near' : ''}${stale ? ' jp-mod-stale' : ''}`}
      data-session={session.name}
      data-state={session.state}
      tabIndex={props.tabbable ? 0 : -1}
      aria-label={spoken(props, place, age, ends)}
      aria-keyshortcuts="Enter N Delete"
      onFocus={() => props.onFocus(session.name)}
      onDoubleClick={() => act(CommandIDs.showDetail)}
      onClick={event => event.currentTarget.focus()}
    >
      <div className="jp-RuntimeSessions-line">
        <StateSign state={session.state} />
        <span className="jp-RuntimeSessions-title" title={nameTitle(session, place)}>
          {title(session)}
        </span>
        <StateWord state={session.state} />
        <span className="jp-RuntimeSessions-age" title={age.exact}>
          {age.text}
        </span>
        <RowActions session={session} blocked={store.blocked(session.name)} act={act} />
      </div>
      {stale && <StaleLine trouble={stale} now={now} />}
      <StartingLine {...props} />
      <About session={session} place={place} />
      {ends.next && !stale && (
        <div className="jp-RuntimeSessions-line jp-RuntimeSessions-ends">
          <span className="jp-RuntimeSessions-cut" title={formatExact(ends.next.time)}>
            {endPhrase(ends.next, now)}
          </span>
          {near && !store.blocked(session.name, 'update') && (
            <button className="jp-RuntimeSessions-link" onClick={() => act(CommandIDs.extend)}>
              extend
            </button>
          )}
        </div>
      )}
    </li>
  );
}

/** Where a session runs, told where there is more than one location. */
function placeOf(props: IRowProps): string {
  const { store, session } = props;
  return store.locations.length > 1 ? placeTitle(store.locationOf(session.name), session.name) : '';
}

/** What is shown of a session whose location does not answer is what was known last. */
function StaleLine(props: { trouble: ITrouble; now: number }): JSX.Element {
  return (
    <div className="jp-RuntimeSessions-line jp-RuntimeSessions-stale">
      <span className="jp-RuntimeSessions-cut" title={props.trouble.message}>
        {stalePhrase(props.trouble, props.now)}
      </span>
    </div>
  );
}

/** A kernel elsewhere may take minutes to start. */
function StartingLine(props: IRowProps): JSX.Element | null {
  const { session, links, store, now } = props;
  const since = links.starting(session.name);
  if (!Number.isFinite(since) || !isUpstream(store.locationOf(session.name))) {
    return null;
  }
  const text = startingPhrase(since, now);
  return (
    <div className="jp-RuntimeSessions-line jp-RuntimeSessions-starting">
      <span className="jp-RuntimeSessions-cut" title={text}>
        {text}
      </span>
    </div>
  );
}

/** The second line: the reason or step where there is one, and kernel, location, labels. */
function About(props: { session: ISession; place: string }): JSX.Element {
  const { session } = props;
  // The warning of an ACTIVE session is the line of its end.
  const message = session.state === 'ACTIVE' ? '' : firstLine(session.stateMessage);
  const place = [kernelLabel(session), props.place].filter(part => part).join(' · ');
  return (
    <>
      {message && (
        <div className="jp-RuntimeSessions-line jp-RuntimeSessions-message">
          <span className="jp-RuntimeSessions-cut" title={session.stateMessage}>
            {message}
          </span>
        </div>
      )}
      <div className="jp-RuntimeSessions-line jp-RuntimeSessions-about">
        <span className="jp-RuntimeSessions-cut" title={place}>
          {place}
        </span>
        <Chips labels={session.labels} />
      </div>
    </>
  );
}

/** Labels as chips, `key:value`. */
export function Chips(props: { labels?: Record<string, string> }): JSX.Element {
  return (
    <span className="jp-RuntimeSessions-chips">
      {Object.entries(props.labels ?? {}).map(([key, value]) => {
        const text = value ? `${key}:${value}` : key;
        return (
          <span key={key} className="jp-RuntimeSessions-chip" title={text}>
            {text}
          </span>
        );
      })}
    </span>
  );
}

function RowActions(props: {
  session: ISession;
  /** Why nothing can be done with it now, or empty. */
  blocked: string;
  act: (id: string) => void;
}): JSX.Element {
  const { session, act, blocked } = props;
  const ended = isFinal(session.state);
  return (
    <div className="jp-RuntimeSessions-actions">
      {session.state === 'ACTIVE' && hasKernels(session) && (
        <IconButton
          icon={notebookIcon}
          label="Open a notebook on the main kernel (N)"
          blocked={blocked}
          onClick={() => act(CommandIDs.openNotebook)}
        />
      )}
      <IconButton
        icon={ellipsesIcon}
        label="Show detail (Enter)"
        onClick={() => act(CommandIDs.showDetail)}
      />
      <IconButton
        icon={ended ? deleteIcon : closeIcon}
        label={ended ? 'Delete (Delete)' : 'Terminate (Delete)'}
        blocked={blocked}
        onClick={() => act(ended ? CommandIDs.remove : CommandIDs.terminate)}
      />
    </div>
  );
}

/** A small button with an icon; its label is read out and shown on hover, with the reason while it is blocked. */
export function IconButton(props: {
  icon: LabIcon;
  label: string;
  blocked?: string;
  onClick: () => void;
}): JSX.Element {
  const label = props.blocked ? `${props.label}: ${props.blocked}` : props.label;
  return (
    <button
      type="button"
      className="jp-RuntimeSessions-icon"
      title={label}
      aria-label={label}
      aria-disabled={props.blocked ? true : undefined}
      onClick={event => {
        event.stopPropagation();
        if (!props.blocked) {
          props.onClick();
        }
      }}
    >
      <props.icon.react tag="span" width="16px" height="16px" />
    </button>
  );
}

function ageOf(session: ISession, now: number): { text: string; exact: string } {
  if (isFinal(session.state)) {
    const ended = parseTime(session.stateTime);
    return { text: formatMoment(ended, now), exact: `Ended ${formatExact(ended)}` };
  }
  const since = parseTime(session.stateTime ?? session.createTime);
  const text = formatDuration(Math.floor(Math.max(0, now - since) / 1000));
  const created = formatExact(parseTime(session.createTime));
  return { text, exact: `${session.state} since ${formatExact(since)}\nCreated ${created}` };
}

function nameTitle(session: ISession, place: string): string {
  const id = shortName(session.name);
  const name = title(session) === id ? id : `${title(session)} (${id})`;
  return place ? `${name}\n${place}` : name;
}

function spoken(props: IRowProps, place: string, age: { text: string }, ends: IEnds): string {
  const { session, store, now } = props;
  const trouble = store.trouble(session.name);
  const parts = [title(session), lookOf(session.state).word, age.text];
  parts.push(kernelLabel(session), place, firstLine(session.stateMessage));
  if (trouble?.stale) {
    parts.push(stalePhrase(trouble, now));
  } else if (ends.next) {
    parts.push(endPhrase(ends.next, now));
  }
  return parts.filter(part => part).join(', ');
}
