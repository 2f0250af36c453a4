import { caretDownIcon, caretRightIcon } from '@jupyterlab/ui-components';
import React, { KeyboardEvent, useEffect, useRef, useState } from 'react';

import { CommandIDs } from '../model/commands';
import { sectionsOf } from '../model/listing';
import { isFinal, ISession, ITemplate, shortName } from '../model/session';
import { formatDuration } from '../model/time';
import { WHAT } from '../model/words';
import { useNow } from './clock';
import { IViewContext } from './context';
import { SessionRow } from './row';
import { useSignals } from './signals';

/** The whole panel: link, filter, and the three sections. */
export function SessionList(props: IViewContext): JSX.Element {
  const { store, links, clock } = props;
  useSignals(store.changed, links.changed);
  const now = useNow(clock);
  const [filter, setFilter] = useState('');
  const [focused, setFocused] = useState('');
  const sections = sectionsOf(store.sessions, filter);
  const rows = [...sections.running, ...sections.ended];
  const stop = rows.some(row => row.name === focused) ? focused : rows[0]?.name;
  const list = useFollowingFocus(focused);
  const draw = (session: ISession) => (
    <SessionRow
      key={session.name}
      {...props}
      session={session}
      now={now}
      tabbable={session.name === stop}
      onFocus={setFocused}
    />
  );
  if (store.loaded && !store.sessions.length && !store.templates.length) {
    return (
      <>
        <LinkState {...props} now={now} />
        <Empty {...props} />
      </>
    );
  }
  return (
    <>
      <LinkState {...props} now={now} />
      <FilterBox filter={filter} onFilter={setFilter} />
      <div
        className={`jp-RuntimeSessions-sections${store.link === 'lost' ? ' jp-mod-stale' : ''}`}
        ref={list}
        onKeyDown={event => onKey(event, props)}
      >
        {!store.loaded && !store.error && <p className="jp-RuntimeSessions-note">Listing…</p>}
        <Section title="RUNNING" count={sections.running.length}>
          {sections.running.map(draw)}
        </Section>
        <Section title="ENDED" count={sections.ended.length}>
          {sections.ended.map(draw)}
        </Section>
        <Section title="TEMPLATES" count={store.templates.length} folded>
          {store.templates.map(template => (
            <TemplateRow key={template.name} template={template} />
          ))}
        </Section>
      </div>
    </>
  );
}

/** Keep the focus on a row that moves to another section, where it is drawn anew. */
function useFollowingFocus(name: string) {
  const list = useRef<HTMLDivElement>(null);
  const row = useRef<Element | null>(null);
  useEffect(() => {
    const old = row.current;
    if (old && !old.isConnected && document.activeElement === document.body) {
      list.current?.querySelector<HTMLElement>(`[data-session="${CSS.escape(name)}"]`)?.focus();
    }
    const focused = document.activeElement;
    row.current = list.current?.contains(focused) ? focused : null;
  });
  return list;
}

function FilterBox(props: { filter: string; onFilter: (text: string) => void }): JSX.Element {
  return (
    <div className="jp-RuntimeSessions-filter">
      <input
        type="search"
        className="jp-mod-styled"
        placeholder="Filter by name, label, state…"
        title="Filter by name, label, state, kernel or location"
        aria-label="Filter sessions"
        value={props.filter}
        onChange={event => props.onFilter(event.target.value)}
      />
    </div>
  );
}

function Section(props: {
  title: string;
  count: number;
  folded?: boolean;
  children: React.ReactNode;
}): JSX.Element {
  const [folded, setFolded] = useState(props.folded ?? false);
  const Caret = folded ? caretRightIcon : caretDownIcon;
  return (
    <section className="jp-RuntimeSessions-section" aria-label={props.title}>
      <button
        className="jp-RuntimeSessions-heading"
        aria-expanded={!folded}
        onClick={() => setFolded(!folded)}
      >
        <Caret.react tag="span" />
        <span>{props.title}</span>
        <span className="jp-RuntimeSessions-count">{props.count}</span>
      </button>
      {!folded && <ul>{props.children}</ul>}
    </section>
  );
}

function TemplateRow(props: { template: ITemplate }): JSX.Element {
  const { template } = props;
  const name = template.displayName || shortName(template.name);
  return (
    <li className="jp-RuntimeSessions-template" title={template.description || template.name}>
      <span className="jp-RuntimeSessions-cut">{name}</span>
    </li>
  );
}

function Empty(props: IViewContext): JSX.Element {
  return (
    <div className="jp-RuntimeSessions-empty">
      <p>{WHAT}</p>
      <button
        className="jp-mod-styled jp-mod-accept"
        onClick={() => void props.commands.execute(CommandIDs.create)}
      >
        New session
      </button>
    </div>
  );
}

/** Said only when something is wrong: the stream is down, or the list failed. */
function LinkState(props: IViewContext & { now: number }): JSX.Element | null {
  const { store, now } = props;
  if (store.link !== 'lost' && !store.error) {
    return null;
  }
  const wait = Math.max(0, Math.ceil((store.retryAt - now) / 1000));
  const lost = store.retryAt
    ? `Connection lost. Trying again in ${formatDuration(wait)}.`
    : 'Connection lost. Trying again.';
  return (
    <div className="jp-RuntimeSessions-lost" role="status" title={store.error}>
      <span>{store.link === 'lost' ? lost : `The list failed: ${store.error}`}</span>
      <button
        className="jp-RuntimeSessions-link"
        onClick={() => void props.commands.execute(CommandIDs.refresh)}
      >
        try now
      </button>
    </div>
  );
}

/** The keys of a focused row: arrows move, Enter shows detail, N opens a notebook, Delete ends or removes. */
function onKey(event: KeyboardEvent<HTMLElement>, context: IViewContext): void {
  const row = event.target as HTMLElement;
  const name = row.dataset.session;
  const session = name === undefined ? undefined : context.store.get(name);
  if (!session || event.ctrlKey || event.altKey || event.metaKey) {
    return;
  }
  const keys: Record<string, () => void> = {
    ArrowDown: () => step(event.currentTarget, row, 1),
    ArrowUp: () => step(event.currentTarget, row, -1),
    Enter: () => void context.commands.execute(CommandIDs.showDetail, { name: session.name }),
    n: () => void context.commands.execute(CommandIDs.openNotebook, { name: session.name }),
    Delete: () => {
      const id = isFinal(session.state) ? CommandIDs.remove : CommandIDs.terminate;
      void context.commands.execute(id, { name: session.name });
    }
  };
  const act = keys[event.key];
  if (act) {
    event.preventDefault();
    event.stopPropagation();
    act();
  }
}

function step(list: HTMLElement, row: HTMLElement, by: number): void {
  const rows = [...list.querySelectorAll<HTMLElement>('[data-session]')];
  rows[rows.indexOf(row) + by]?.focus();
}
