import { caretDownIcon, caretRightIcon } from '@jupyterlab/ui-components';
import React, { useState } from 'react';

import { CommandIDs } from '../model/commands';
import { CONFIGURATION, configurationTrouble, ITrouble, placeTitle } from '../model/location';
import {
  needsAPerson,
  piecesOf,
  troubleHeadline,
  troubleMessage,
  troubleNote
} from '../model/trouble';
import { IViewContext } from './context';
import { Copyable } from './copy';

interface IBanner {
  name: string;
  title: string;
  trouble: ITrouble;
}

/** What is wrong with locations: one is told in full where a person must act, several in one line until opened. */
export function Banners(props: IViewContext & { now: number }): JSX.Element {
  const { store, now } = props;
  const [open, setOpen] = useState(false);
  const banners = bannersOf(store);
  const several = banners.length > 1;
  const headlines = banners.map(({ title, trouble }) => troubleHeadline(title, trouble, now));
  const Caret = open ? caretDownIcon : caretRightIcon;
  return (
    <>
      <span className="jp-RuntimeSessions-spoken" role="status">
        {headlines.join('. ')}
      </span>
      {banners.length > 0 && (
        <div className="jp-RuntimeSessions-banners">
          {several && (
            <button
              className="jp-RuntimeSessions-bannerHead"
              aria-expanded={open}
              title={headlines.join('\n')}
              onClick={() => setOpen(!open)}
            >
              <Caret.react tag="span" />
              <span>{banners.length} things need attention</span>
            </button>
          )}
          {(open || !several) &&
            banners.map(banner => (
              <Banner
                key={`${banner.name} ${banner.trouble.status}`}
                banner={banner}
                now={now}
                unfolded={!several && needsAPerson(banner.trouble)}
                onTry={() => void props.commands.execute(CommandIDs.refresh)}
              />
            ))}
        </div>
      )}
    </>
  );
}

/** Those that a person must mend come first. */
function bannersOf(store: IViewContext['store']): IBanner[] {
  const banners: IBanner[] = [];
  for (const place of store.locations) {
    for (const trouble of [store.trouble(place.name), configurationTrouble(place)]) {
      if (trouble) {
        banners.push({ name: place.name, title: placeTitle(place, place.name), trouble });
      }
    }
  }
  const rank = ({ trouble }: IBanner) => (needsAPerson(trouble) ? 0 : 1);
  return banners.sort((a, b) => rank(a) - rank(b));
}

function Banner(props: {
  banner: IBanner;
  now: number;
  unfolded: boolean;
  onTry: () => void;
}): JSX.Element {
  const { title, trouble, name } = props.banner;
  const [unfolded, setUnfolded] = useState(props.unfolded);
  const message = troubleMessage(trouble);
  const headline = troubleHeadline(title, trouble, props.now);
  const Caret = unfolded ? caretDownIcon : caretRightIcon;
  return (
    <section
      className="jp-RuntimeSessions-banner"
      aria-label={headline}
      data-location={name}
      data-status={trouble.status}
    >
      <button
        className="jp-RuntimeSessions-bannerHead"
        aria-expanded={unfolded}
        title={name}
        onClick={() => setUnfolded(!unfolded)}
      >
        <Caret.react tag="span" />
        <span>{headline}</span>
      </button>
      {unfolded && (
        <div className="jp-RuntimeSessions-bannerBody">
          {message && <p className="jp-RuntimeSessions-text">{message}</p>}
          <Remedy steps={trouble.remedy} />
          {troubleNote(trouble) && <p>{troubleNote(trouble)}</p>}
          {trouble.status !== CONFIGURATION && (
            <button
              className="jp-mod-styled jp-mod-accept jp-RuntimeSessions-small"
              onClick={props.onTry}
            >
              Try again
            </button>
          )}
        </div>
      )}
    </section>
  );
}

function Remedy(props: { steps: readonly string[] }): JSX.Element | null {
  if (!props.steps.length) {
    return null;
  }
  return (
    <ol>
      {props.steps.map(step => (
        <li key={step}>
          {piecesOf(step).map((piece, index) =>
            piece.command ? (
              <Copyable key={index} text={piece.text} />
            ) : (
              <React.Fragment key={index}>{piece.text}</React.Fragment>
            )
          )}
        </li>
      ))}
    </ol>
  );
}
