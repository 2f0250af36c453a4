import React from 'react';

import { State } from '../model/session';
import { lookOf } from '../model/states';

/** The sign of a state; decoration beside its word. */
export function StateSign(props: { state: State }): JSX.Element {
  const look = lookOf(props.state);
  return (
    <span className={`jp-RuntimeSessions-sign ${look.className}`} aria-hidden="true">
      {look.sign}
    </span>
  );
}

/** The word of a state in its colour. */
export function StateWord(props: { state: State }): JSX.Element {
  const look = lookOf(props.state);
  return <span className={`jp-RuntimeSessions-word ${look.className}`}>{look.word}</span>;
}
