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
import { isFinal, ISession, kernelLabel, locationLabel, shortName, title } from '../model/session';
import { lookOf } from '../model/states';
import { formatDuration, formatExact, formatMoment, parseTime } from '../model/time';
import { endPhrase, firstLine } from '../model/words';
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
  const { session, now, links, commands } = props;
  const ends = endsOf(session, links.activity(session.name));
  const near = isNear(session, ends, now);
  const age = ageOf(session, now);
  const act = (id: string) => void commands.execute(id, { name: session.name });
  return (
    <li
      className={`jp-RuntimeSessions-row${near ? ' jp-mod-near' : ''}`}
      data-session={session.name}
      data-state={session.state}
      tabIndex={props.tabbable ? 0 : -1}
      aria-label={spoken(session, age, ends, now)}
      aria-keyshortcuts="Enter N Delete"
      onFocus={() => props.onFocus(session.name)}
      onDoubleClick={() => act(CommandIDs.showDetail)}
      onClick={event => event.currentTarget.focus()}
    >
      <div className="jp-RuntimeSessions-line">
        <StateSign state={session.state} />
        <span className="jp-RuntimeSessions-title" title={nameTitle(session)}>
          {title(session)}
        </span>
        <StateWord state={session.state} />
        <span className="jp-RuntimeSessions-age" title={age.exact}>
          {age.text}
        </span>
      </div>
      <About session={session} />
      {ends.next && (
        <div className="jp-RuntimeSessions-line jp-RuntimeSessions-ends">
          <span className="jp-RuntimeSessions-cut" title={formatExact(ends.next.time)}>
            {endPhrase(ends.next, now)}
          </span>
          {near && (
            <button className="jp-RuntimeSessions-link" onClick={() => act(CommandIDs.extend)}>
              extend
            </button>
          )}
        </div>
      )}
      <RowActions session={session} act={act} />
    </li>
  );
}

/** The second line: the reason or step where there is one, and kernel, location, labels. */
function About(props: { session: ISession }): JSX.Element {
  const { session } = props;
  // The warning of an ACTIVE session is the line of its end.
  const message = session.state === 'ACTIVE' ? '' : firstLine(session.stateMessage);
  const place = `${kernelLabel(session)} · ${locationLabel(session.name)}`;
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

function RowActions(props: { session: ISession; act: (id: string) => void }): JSX.Element {
  const { session, act } = props;
  const ended = isFinal(session.state);
  return (
    <div className="jp-RuntimeSessions-actions">
      {session.state === 'ACTIVE' && (
        <IconButton
          icon={notebookIcon}
          label="Open a notebook on the main kernel (N)"
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
        onClick={() => act(ended ? CommandIDs.remove : CommandIDs.terminate)}
      />
    </div>
  );
}

/** A small button with an icon; its label is read out and shown on hover. */
export function IconButton(props: {
  icon: LabIcon;
  label: string;
  onClick: () => void;
}): JSX.Element {
  return (
    <button
      className="jp-RuntimeSessions-icon"
      title={props.label}
      aria-label={props.label}
      onClick={event => {
        event.stopPropagation();
        props.onClick();
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

function nameTitle(session: ISession): string {
  const id = shortName(session.name);
  return title(session) === id ? id : `${title(session)} (${id})`;
}

function spoken(session: ISession, age: { text: string }, ends: IEnds, now: number): string {
  const parts = [title(session), lookOf(session.state).word, age.text];
  parts.push(kernelLabel(session), locationLabel(session.name), firstLine(session.stateMessage));
  if (ends.next) {
    parts.push(endPhrase(ends.next, now));
  }
  return parts.filter(part => part).join(', ');
}
