import React from 'react';

import { ISession } from '../model/session';
import { lookOf } from '../model/states';
import { formatDuration, formatExact, formatStamp } from '../model/time';
import { IMark, layOut, spansOf } from '../model/timeline';

/** A session's states as a line drawn to scale, and as the table that a screen reader reads. */
export function History(props: { session: ISession; now: number }): JSX.Element {
  const marks = layOut(spansOf(props.session, props.now));
  return (
    <section className="jp-RuntimeSessions-history" aria-label="History">
      <h3>History</h3>
      <div className="jp-RuntimeSessions-timeline" aria-hidden="true">
        {marks.map(mark => (
          <Bar key={`${mark.state}-${mark.start}`} mark={mark} />
        ))}
      </div>
      <table>
        <thead>
          <tr>
            <th scope="col">Time</th>
            <th scope="col">State</th>
            <th scope="col">Message</th>
            <th scope="col">Duration</th>
          </tr>
        </thead>
        <tbody>
          {marks.map(mark => (
            <tr key={`${mark.state}-${mark.start}`} data-state={mark.state}>
              <td title={formatExact(mark.start)}>{formatStamp(mark.start, props.now)}</td>
              <td className={lookOf(mark.state).className}>{lookOf(mark.state).word}</td>
              <td className="jp-RuntimeSessions-text">{mark.message}</td>
              <td>{runs(mark) ? formatDuration(mark.duration) : '–'}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** A final state has a moment, not a duration. */
function runs(mark: IMark): boolean {
  return !mark.current || mark.duration > 0;
}

function Bar(props: { mark: IMark }): JSX.Element {
  const { mark } = props;
  const look = lookOf(mark.state);
  const duration = runs(mark) ? ` ${formatDuration(mark.duration)}` : '';
  const text = `${look.word}${duration}`;
  return (
    <div
      className={`jp-RuntimeSessions-bar ${look.className}${mark.current ? ' jp-mod-current' : ''}`}
      style={{ left: `${mark.left * 100}%`, width: `${mark.width * 100}%` }}
      title={`${text}\nfrom ${formatExact(mark.start)}${mark.message ? `\n${mark.message}` : ''}`}
    >
      <span className="jp-RuntimeSessions-cut">{text}</span>
    </div>
  );
}
