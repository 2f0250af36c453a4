import React, { useEffect, useState } from 'react';

import { endpointOf } from '../model/endpoint';
import { isGoogle, placeTitle } from '../model/location';
import { kernelTitles } from '../model/mainkernel';
import { ISession, ISessionKernel, kernelLabel, shortName } from '../model/session';
import { formatDuration, formatExact, parseDuration, parseTime } from '../model/time';
import {
  kernelsUse,
  nowPhrase,
  startingPhrase,
  totalPhrase,
  UNITS,
  usagePhrase
} from '../model/words';
import { IViewContext } from './context';

const PERIOD = 5000;

/** A name and what is drawn beside it. */
type Fact = [string, React.ReactNode];

/** What a session is made of; a name and a value each. */
export function Configuration(props: IViewContext & { session: ISession }): JSX.Element {
  const { session, store } = props;
  const limits = session.environmentConfig?.executionConfig ?? {};
  const facts: Fact[] = [
    ['Name', session.name],
    ['Location', placeTitle(store.locationOf(session.name), session.name)],
    ['UUID', session.uuid],
    ['Kernel', kernelLabel(session)],
    ['Template', session.sessionTemplate ? shortName(session.sessionTemplate) : ''],
    ['Created', formatExact(parseTime(session.createTime))],
    ['Creator', session.creator ?? ''],
    ['Owner', session.user === session.creator ? '' : (session.user ?? '')],
    ['Ends when idle for', formatDuration(parseDuration(limits.idleTtl))],
    ['Ends at the latest after', formatDuration(parseDuration(limits.ttl))],
    ...Object.entries(session.labels ?? {}).map(([key, value]): Fact => [
      `Label ${key}`,
      value || '(empty)'
    ]),
    ...Object.entries(session.runtimeConfig?.properties ?? {})
  ];
  return <Facts title="Configuration" facts={facts} />;
}

/** What a session uses and where it is reached. */
export function Runtime(props: IViewContext & { session: ISession }): JSX.Element | null {
  const { session, store } = props;
  const info = session.runtimeInfo ?? {};
  // A unit of Google's bills; elsewhere the kernels' own figures say more.
  const billed: Fact[] = isGoogle(store.locationOf(session.name))
    ? [
        ['Uses now', billing(nowPhrase(session))],
        ['Used in all', billing(totalPhrase(session))]
      ]
    : [];
  const facts: Fact[] = [
    ...billed,
    ['Log directory', typeof info.outputUri === 'string' ? info.outputUri : ''],
    ...Object.entries(info.endpoints ?? {}).map(([name, uri]): Fact => [
      name,
      <Endpoint key={name} uri={uri} />
    ])
  ];
  return <Facts title="Runtime" facts={facts} />;
}

/** A figure in units that are told on hover. */
function billing(phrase: string): React.ReactNode {
  return phrase && <span title={UNITS}>{phrase}</span>;
}

/** An address that the session names: opened by a click alone, in a tab that knows nothing of this one. */
function Endpoint(props: { uri: string }): JSX.Element {
  const { text, href } = endpointOf(String(props.uri));
  return href ? (
    <a href={href} target="_blank" rel="noopener noreferrer">
      {text}
    </a>
  ) : (
    <span>{text}</span>
  );
}

function Facts(props: { title: string; facts: Fact[] }): JSX.Element | null {
  const facts = props.facts.filter(([, value]) => value);
  if (!facts.length) {
    return null;
  }
  return (
    <section aria-label={props.title}>
      <h3>{props.title}</h3>
      <dl className="jp-RuntimeSessions-facts">
        {facts.map(([name, value]) => (
          <React.Fragment key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </React.Fragment>
        ))}
      </dl>
    </section>
  );
}

/** The kernels of an ACTIVE session while they are shown: asked for when some change, else every five seconds. */
export function Kernels(
  props: IViewContext & { session: ISession; now: number }
): JSX.Element | null {
  const { session, store, links, clock, now } = props;
  const [kernels, setKernels] = useState<ISessionKernel[] | null>(null);
  const active = session.state === 'ACTIVE' && !store.blocked(session.name, 'kernels');
  useEffect(() => {
    let last = 0;
    let news = false;
    let gone = false;
    const ask = async () => {
      if (!active || (!news && Date.now() - last < PERIOD)) {
        return;
      }
      last = Date.now();
      news = false;
      try {
        const rows = await store.listKernels(session.name);
        if (!gone) {
          setKernels(rows);
        }
      } catch {
        // The link's state is told in the panel; the last rows stay.
      }
    };
    const slot = () => void ask();
    // Many may come at once: the next tick asks.
    const changed = () => {
      news = true;
    };
    slot();
    clock.tick.connect(slot);
    links.changed.connect(changed);
    return () => {
      gone = true;
      clock.tick.disconnect(slot);
      links.changed.disconnect(changed);
    };
  }, [store, links, clock, session.uuid, active]);
  if (!active || !kernels) {
    return null;
  }
  return (
    <section aria-label="Kernels">
      <h3>
        Kernels
        <small>{kernelsUse(kernels)}</small>
      </h3>
      {kernels.length ? (
        <KernelTable session={session} kernels={kernels} links={props.links} now={now} />
      ) : (
        <p>No kernel runs yet.</p>
      )}
    </section>
  );
}

function KernelTable(
  props: Pick<IViewContext, 'links'> & {
    session: ISession;
    kernels: ISessionKernel[];
    now: number;
  }
): JSX.Element {
  const titles = kernelTitles(props.session, props.kernels);
  return (
    <table>
      <thead className="jp-RuntimeSessions-spoken">
        <tr>
          {['Kernel', 'Open on it', 'State', 'Last activity', 'Use'].map(head => (
            <th key={head} scope="col">
              {head}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {props.kernels.map((kernel, index) => {
          const active = parseTime(kernel.last_activity);
          const ago = formatDuration(Math.max(0, Math.floor((props.now - active) / 1000)));
          const { usage } = kernel;
          return (
            <tr key={kernel.id} data-kernel={kernel.id}>
              <td title={kernel.id}>{titles[index]}</td>
              <td className="jp-RuntimeSessions-text">
                {props.links.documentsOf(kernel.id).join(', ')}
              </td>
              <td>{kernel.execution_state}</td>
              <td title={formatExact(active)}>
                {kernel.execution_state === 'starting'
                  ? startingPhrase(active, props.now)
                  : ago && `active ${ago} ago`}
              </td>
              <td>
                {usage?.memory_bytes
                  ? usagePhrase(Number(usage.cpu_percent), usage.memory_bytes)
                  : ''}
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
