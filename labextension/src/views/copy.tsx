import { Clipboard } from '@jupyterlab/apputils';
import { checkIcon, copyIcon } from '@jupyterlab/ui-components';
import React, { useEffect, useState } from 'react';

/** How long the sign of success stands, in milliseconds. */
const SHOWN = 2000;

/** A button that copies a text. */
export function CopyButton(props: { text: string; label: string }): JSX.Element {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    const timer = copied ? setTimeout(() => setCopied(false), SHOWN) : undefined;
    return () => clearTimeout(timer);
  }, [copied]);
  const Icon = copied ? checkIcon : copyIcon;
  const label = copied ? 'Copied' : props.label;
  return (
    <button
      type="button"
      className="jp-RuntimeSessions-icon"
      title={label}
      aria-label={label}
      onClick={event => {
        event.stopPropagation();
        void copy(props.text).then(() => setCopied(true));
      }}
    >
      <Icon.react tag="span" width="14px" height="14px" />
    </button>
  );
}

/** A command or a path, with the button that copies it. */
export function Copyable(props: { text: string }): JSX.Element {
  return (
    <span className="jp-RuntimeSessions-copyable">
      <code>{props.text}</code>
      <CopyButton text={props.text} label={`Copy “${props.text}”`} />
    </span>
  );
}

/** Plain http to another machine has no clipboard of the browser's; Lab's copies by a selection. */
async function copy(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    Clipboard.copyToSystem(text);
  }
}
