import { caretDownIcon, caretRightIcon } from '@jupyterlab/ui-components';
import React, { KeyboardEvent, useEffect, useRef, useState } from 'react';

import { CommandIDs } from '../model/commands';
import { focusAfter, sectionsOf } from '../model/listing';
import { placeTitle } from '../model/location';
import { isFinal, ISession, ITemplate, parentOf, shortName } from '../model/session';
import { formatDuration } from '../model/time';
import { WHAT } from '../model/words';
import { Banners } from './banners';
import { useNow } from './clock';
import { IViewContext } from './context';
import { FilterBox, IFilter } from './filters';
import { IHeld, isLost, watching } from './focus';
import type { IRevealed } from './panel';
import { SessionRow } from './row';
import { useSignals } from './signals';

const ALL: IFilter = { text: '', place: '' };

/** The whole panel: link, troubles of locations, filters, and the three sections. */
export function SessionList(props: IViewContext & { revealed: IRevealed }): JSX.Element {
  const { store, links, clock } = props;
  useSignals(store.changed, links.changed);
  const now = useNow(clock);
  const held = useRef<Element | null>(null);
  const head = (
    <>
      <LinkState {...props} now={now} />
      <Banners {...props} now={now} />
    </>
  );
  if (store.loaded && !store.sessions.length && !store.templates.length) {
    return (
      <>
        {head}
        <Empty {...props} held={held} />
      </>
    );
  }
  return (
    <>
      {head}
      <Sections {...props} now={now} held={held} />
    </>
  );
}

/** The filters and what they leave, in sections. */
function Sections(
  props: IViewContext & { revealed: IRevealed; now: number; held: IHeld }
): JSX.Element {
  const { store, now } = props;
  const [filter, setFilter] = useState<IFilter>(ALL);
  const [focused, setFocused] = useState('');
  // A location that is configured no more filters nothing.
  const place = store.locationOf(filter.place)?.name ?? '';
  const titleOf = (session: ISession) => placeTitle(store.locationOf(session.name), session.name);
  const sections = sectionsOf(store.sessions, filter.text, place, titleOf);
  const rows = [...sections.running, ...sections.ended];
  const stop = rows.some(row => row.name === focused) ? focused : rows[0]?.name;
  const order = rows.map(row => row.name);
  const list = useFollowingFocus(focused, order, props.held);
  const known = (name: string) => store.get(name) !== undefined;
  const wanted = useRevealed(props.revealed, list, known, () => setFilter(ALL));
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
  const holds = (part: ISession[]) => part.some(row => row.name === wanted);
  const missed = !rows.length && store.sessions.length > 0;
  const templates = store.templates.filter(({ name }) => !place || parentOf(name) === place);
  return (
    <>
      <FilterBox filter={{ ...filter, place }} locations={store.locations} onFilter={setFilter} />
      <div
        className={`jp-RuntimeSessions-sections${store.link === 'lost' ? ' jp-mod-stale' : ''}`}
        ref={list}
        {...watching(props.held)}
        onKeyDown={event => onKey(event, props)}
      >
        {!store.loaded && !store.error && <p className="jp-RuntimeSessions-note">Listing…</p>}
        <p className="jp-RuntimeSessions-note" role="status" hidden={!missed}>
          {missed && 'No session fits the filter.'}
        </p>
        <Section title="RUNNING" count={sections.running.length} open={holds(sections.running)}>
          {sections.running.map(draw)}
        </Section>
        <Section title="ENDED" count={sections.ended.length} open={holds(sections.ended)}>
          {sections.ended.map(draw)}
        </Section>
        <Section title="TEMPLATES" count={templates.length} folded>
          {templates.map(template => (
            <TemplateRow key={template.name} template={template} />
          ))}
        </Section>
      </div>
    </>
  );
}

/** The session whose row is to have the focus; it gets it as soon as it is drawn, whatever was filtered out. */
function useRevealed(
  revealed: IRevealed,
  list: React.RefObject<HTMLElement>,
  known: (name: string) => boolean,
  unfilter: () => void
): string {
  // The first session's row is asked for before there is a list to hear it.
  const [wanted, setWanted] = useState(() => (known(revealed.wanted) ? revealed.wanted : ''));
  useEffect(() => {
    const slot = (_: unknown, name: string) => {
      // One that comes much later must not take the focus from what is done then.
      if (known(name)) {
        unfilter();
        setWanted(name);
      }
    };
    revealed.asked.connect(slot);
    return () => void revealed.asked.disconnect(slot);
  }, [revealed]);
  useEffect(() => {
    const row = wanted
      ? list.current?.querySelector<HTMLElement>(`[data-session="${CSS.escape(wanted)}"]`)
      : null;
    if (row) {
      row.focus();
      revealed.wanted = '';
      setWanted('');
    }
  });
  return wanted;
}

/** Keep the focus on a row that moves to another section, where it is drawn anew; of one that goes, near it. */
function useFollowingFocus(name: string, order: readonly string[], held: IHeld) {
  const list = useRef<HTMLDivElement>(null);
  const before = useRef(order);
  useEffect(() => {
    if (isLost(held)) {
      const next = CSS.escape(focusAfter(before.current, order, name));
      const row = list.current?.querySelector<HTMLElement>(`[data-session="${next}"]`);
      (row ?? list.current?.querySelector<HTMLElement>('button'))?.focus();
    }
    before.current = order;
  });
  return list;
}

function Section(props: {
  title: string;
  count: number;
  folded?: boolean;
  /** Whether it must show what it holds now. */
  open?: boolean;
  children: React.ReactNode;
}): JSX.Element {
  const { open } = props;
  const [folded, setFolded] = useState(props.folded ?? false);
  useEffect(() => {
    if (open) {
      setFolded(false);
    }
  }, [open]);
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

function Empty(props: IViewContext & { held: IHeld }): JSX.Element {
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (isLost(props.held)) {
      button.current?.focus();
    }
    props.held.current = null;
  }, []);
  return (
    <div className="jp-RuntimeSessions-empty">
      <p>{WHAT}</p>
      <button
        ref={button}
        className="jp-mod-styled jp-mod-accept"
        onClick={() => void props.commands.execute(CommandIDs.create)}
      >
        New session
      </button>
      <p>
        <button
          className="jp-RuntimeSessions-link"
          onClick={() => void props.commands.execute(CommandIDs.connect)}
        >
          Connect a location
        </button>
      </p>
    </div>
  );
}

/** Said only when something is wrong: the stream is down, or the list failed. */
function LinkState(props: IViewContext & { now: number }): JSX.Element {
  const { store } = props;
  const failed = store.error ? `The sessions could not be listed: ${store.error}` : '';
  const said = store.link === 'lost' ? 'Connection lost.' : failed;
  return (
    <>
      <span className="jp-RuntimeSessions-spoken" role="status">
        {said}
      </span>
      {said && <Lost {...props} said={said} />}
    </>
  );
}

/** What is wrong, with the seconds to the next attempt, which are not read out each time. */
function Lost(props: IViewContext & { now: number; said: string }): JSX.Element {
  const { store, now, said } = props;
  const wait = Math.max(0, Math.ceil((store.retryAt - now) / 1000));
  const when = store.retryAt ? `Trying again in ${formatDuration(wait)}.` : 'Trying again.';
  return (
    <div className="jp-RuntimeSessions-lost" title={store.error}>
      <span>{store.link === 'lost' ? `${said} ${when}` : said}</span>
      <button
        className="jp-RuntimeSessions-link"
        onClick={() => void props.commands.execute(CommandIDs.refresh)}
      >
        try now
      </button>
    </div>
  );
}

/** The keys of a focused row: arrows, Home and End move, Enter shows detail, N opens a notebook, Delete ends or removes. */
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
    Home: () => step(event.currentTarget, row, -Infinity),
    End: () => step(event.currentTarget, row, Infinity),
    Enter: () => void context.commands.execute(CommandIDs.showDetail, { name: session.name }),
    n: () => void context.commands.execute(CommandIDs.openNotebook, { name: session.name }),
    Delete: () => {
      const id = isFinal(session.state) ? CommandIDs.remove : CommandIDs.terminate;
      void context.commands.execute(id, { name: session.name });
    }
  };
  const act = keys[event.key] ?? keys[event.key.toLowerCase()];
  if (act) {
    event.preventDefault();
    event.stopPropagation();
    act();
  }
}

function step(list: HTMLElement, row: HTMLElement, by: number): void {
  const rows = [...list.querySelectorAll<HTMLElement>('[data-session]')];
  const to = Math.min(rows.length - 1, Math.max(0, rows.indexOf(row) + by));
  rows[to]?.focus();
}
