import { Dialog, ReactWidget } from '@jupyterlab/apputils';
import React, { useState } from 'react';

import { IConnectHelp } from '../model/session';
import { Copyable, CopyButton } from './copy';

/** Show how a location is connected: what to write, where, and what makes the server read it. */
export async function showConnectDialog(help: IConnectHelp): Promise<void> {
  const body = ReactWidget.create(<ConnectHelp {...help} />);
  body.addClass('jp-RuntimeSessions-connectBody');
  const dialog = new Dialog<unknown>({
    title: 'Connect a location',
    body,
    buttons: [Dialog.okButton({ label: 'Close' })],
    hasClose: true
  });
  dialog.addClass('jp-RuntimeSessions-connectDialog');
  await dialog.launch();
}

function ConnectHelp(props: IConnectHelp): JSX.Element {
  const { examples, path } = props;
  const [chosen, setChosen] = useState(0);
  const example = examples[chosen];
  return (
    <div className="jp-RuntimeSessions-connect">
      <p>
        Sessions can run elsewhere too, and stand in this panel beside those of this server. Where,
        is written in a file on the server’s machine; this page only reads it.
      </p>
      {examples.length > 1 && (
        <div className="jp-RuntimeSessions-kinds" role="group" aria-label="What to connect">
          {examples.map(({ title }, index) => (
            <label key={title}>
              <input
                type="radio"
                name="example"
                checked={index === chosen}
                onChange={() => setChosen(index)}
              />
              {title}
            </label>
          ))}
        </div>
      )}
      <ol>
        <li>
          Write this, with your own values, into <Copyable text={path} />
          {example && (
            <div className="jp-RuntimeSessions-yaml">
              <pre tabIndex={0} aria-label={`YAML: ${example.title}`}>
                {example.yaml}
              </pre>
              <CopyButton text={example.yaml} label="Copy the YAML" />
            </div>
          )}
        </li>
        <li>
          Try it: <Copyable text="jupyter sessions doctor" /> says what is wrong and how to mend it.
        </li>
        <li>Restart the Jupyter server. Sessions that run go on.</li>
      </ol>
    </div>
  );
}
