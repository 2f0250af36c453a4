import React, { useState } from 'react';

import { ApiError } from '../api/rest';
import { CommandIDs } from '../model/commands';
import { endsOf, extended, HOUR, longestOf } from '../model/ends';
import { limitFault } from '../model/limit';
import { ILocation, ISession } from '../model/session';
import { formatDuration, formatExact, parseDuration, parseTyped } from '../model/time';
import { endSentence } from '../model/words';
import { isNear } from '../state/warnings';
import { IViewContext } from './context';
import { FaultList } from './rows';

type Limit = 'idleTtl' | 'ttl';

const LABELS: Record<Limit, string> = {
  idleTtl: 'Ends when idle for',
  ttl: 'Ends at the latest after'
};

/** When the session ends and why, with the buttons that move its end. */
export function Limits(
  props: IViewContext & { session: ISession; now: number }
): JSX.Element | null {
  const { session, store, now, links, commands } = props;
  const [editing, setEditing] = useState(false);
  const ends = endsOf(session, links.activity(session.name));
  if (session.state !== 'ACTIVE') {
    return null;
  }
  const place = store.locationOf(session.name);
  const extendable = Object.keys(extended(session, ends, HOUR, longestOf(place))).length > 0;
  const near = isNear(session, ends, now);
  const blocked = store.blocked(session.name, 'update');
  return (
    <div className={`jp-RuntimeSessions-end${near ? ' jp-mod-near' : ''}`}>
      <span title={ends.next && formatExact(ends.next.time)}>{endSentence(ends, now)}</span>
      {ends.next && (
        <button
          className="jp-mod-styled jp-RuntimeSessions-small"
          disabled={!extendable || blocked !== ''}
          title={
            blocked ||
            (extendable ? undefined : 'This is as long as its location lets a session live')
          }
          onClick={() => void commands.execute(CommandIDs.extend, { name: session.name })}
        >
          Extend by 1 h
        </button>
      )}
      <button
        className="jp-RuntimeSessions-link"
        aria-expanded={editing}
        disabled={blocked !== ''}
        title={blocked || undefined}
        onClick={() => setEditing(!editing)}
      >
        change limits
      </button>
      {editing && !blocked && <LimitForm {...props} onDone={() => setEditing(false)} />}
    </div>
  );
}

function LimitForm(props: IViewContext & { session: ISession; onDone: () => void }): JSX.Element {
  const limits = props.session.environmentConfig?.executionConfig ?? {};
  const now = (limit: Limit) => formatDuration(parseDuration(limits[limit]));
  const [typed, setTyped] = useState({ idleTtl: now('idleTtl'), ttl: now('ttl') });
  const [faults, setFaults] = useState<Record<string, string[]>>({});
  const save = async () => {
    const changed = (['idleTtl', 'ttl'] as const).filter(limit => typed[limit] !== now(limit));
    const wire = changed.map(limit => {
      const seconds = parseTyped(typed[limit]);
      return [limit, Number.isFinite(seconds) ? `${seconds}s` : typed[limit]];
    });
    try {
      if (changed.length) {
        await props.store.setLimits(props.session.name, Object.fromEntries(wire));
      }
      props.onDone();
    } catch (error) {
      setFaults(limitFaults(error, typed, props.store.locationOf(props.session.name)));
    }
  };
  return (
    <form
      className="jp-RuntimeSessions-limitForm"
      onSubmit={event => {
        event.preventDefault();
        void save();
      }}
    >
      {(['idleTtl', 'ttl'] as const).map(limit => (
        <label key={limit} className="jp-RuntimeSessions-field">
          <span>{LABELS[limit]}</span>
          <input
            className="jp-mod-styled"
            name={limit}
            aria-invalid={faults[limit] !== undefined}
            value={typed[limit]}
            onChange={event => setTyped({ ...typed, [limit]: event.target.value })}
          />
          <FaultList faults={faults[limit]} />
        </label>
      ))}
      <FaultList faults={faults.form} />
      <button className="jp-mod-styled jp-mod-accept jp-RuntimeSessions-small jp-RuntimeSessions-add">
        Save
      </button>
    </form>
  );
}

function limitFaults(
  error: unknown,
  typed: Record<Limit, string>,
  place: ILocation | undefined
): Record<string, string[]> {
  const violations = error instanceof ApiError ? error.violations : [];
  if (!violations.length) {
    return { form: [error instanceof Error ? error.message : String(error)] };
  }
  const faults: Record<string, string[]> = {};
  for (const { field, description } of violations) {
    const last = field.slice(field.lastIndexOf('.') + 1);
    if (last === 'ttl' || last === 'idleTtl') {
      (faults[last] ??= []).push(limitFault(typed[last], longestOf(place)[last], description));
    } else {
      (faults.form ??= []).push(description);
    }
  }
  return faults;
}
