import React, { useRef, useState } from 'react';

import { ApiError } from '../api/rest';
import { CommandIDs } from '../model/commands';
import { endsOf, extended, HOUR, longestOf } from '../model/ends';
import { limitFault, typedFault } from '../model/limit';
import { ILocation, ISession } from '../model/session';
import { formatDuration, formatExact, onWire, parseDuration, parseTyped } from '../model/time';
import { endSentence } from '../model/words';
import { isNear } from '../state/warnings';
import { IViewContext } from './context';
import { Field, FaultList } from './field';

type Limit = 'idleTtl' | 'ttl';

const BOTH: readonly Limit[] = ['idleTtl', 'ttl'];

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
  const opener = useRef<HTMLButtonElement>(null);
  const close = () => {
    setEditing(false);
    opener.current?.focus();
  };
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
        ref={opener}
        className="jp-RuntimeSessions-link"
        aria-expanded={editing}
        disabled={blocked !== ''}
        title={blocked || undefined}
        onClick={() => setEditing(!editing)}
      >
        change limits
      </button>
      {editing && !blocked && <LimitForm {...props} onDone={close} />}
    </div>
  );
}

type IFormProps = IViewContext & { session: ISession; onDone: () => void };

/** What is typed, what is wrong with it, and how it is saved. */
function useLimits(props: IFormProps) {
  const limits = props.session.environmentConfig?.executionConfig ?? {};
  // As it was when the form opened; what another page changes meanwhile is not sent back.
  const [before] = useState(() => ({
    idleTtl: formatDuration(parseDuration(limits.idleTtl)),
    ttl: formatDuration(parseDuration(limits.ttl))
  }));
  const [typed, setTyped] = useState(before);
  const [faults, setFaults] = useState<Record<string, string[]>>({});
  const [busy, setBusy] = useState(false);
  const save = async () => {
    const place = props.store.locationOf(props.session.name);
    const changed = BOTH.filter(limit => typed[limit].trim() !== before[limit]);
    const own = ownFaults(changed, typed, place);
    setFaults(own);
    if (busy || Object.keys(own).length) {
      return;
    }
    setBusy(true);
    try {
      if (changed.length) {
        const wire = changed.map(limit => [limit, onWire(parseTyped(typed[limit]))]);
        await props.store.setLimits(props.session.name, Object.fromEntries(wire));
      }
      props.onDone();
    } catch (error) {
      setFaults(limitFaults(error, typed, place));
      setBusy(false);
    }
  };
  return { typed, setTyped, faults, busy, save };
}

function LimitForm(props: IFormProps): JSX.Element {
  const { typed, setTyped, faults, busy, save } = useLimits(props);
  return (
    <form
      className="jp-RuntimeSessions-limitForm"
      aria-busy={busy}
      onSubmit={event => {
        event.preventDefault();
        void save();
      }}
      onKeyDown={event => event.key === 'Escape' && props.onDone()}
    >
      {BOTH.map(limit => (
        <Field key={limit} label={LABELS[limit]} faults={faults[limit]}>
          {control => (
            <input
              {...control}
              className="jp-mod-styled"
              name={limit}
              autoFocus={limit === BOTH[0]}
              spellCheck={false}
              autoComplete="off"
              value={typed[limit]}
              onChange={event => setTyped({ ...typed, [limit]: event.target.value })}
            />
          )}
        </Field>
      ))}
      <FaultList faults={faults.form} />
      <button className="jp-mod-styled jp-mod-accept jp-RuntimeSessions-small jp-RuntimeSessions-add">
        Save
      </button>
    </form>
  );
}

function ownFaults(
  changed: readonly Limit[],
  typed: Record<Limit, string>,
  place: ILocation | undefined
): Record<string, string[]> {
  const longest = longestOf(place);
  const found = changed.map((limit): [Limit, string] => [
    limit,
    typedFault(typed[limit], longest[limit])
  ]);
  return Object.fromEntries(
    found.filter(([, fault]) => fault).map(([limit, fault]) => [limit, [fault]])
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
