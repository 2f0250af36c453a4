import { addIcon, closeIcon } from '@jupyterlab/ui-components';
import React, { useId, useRef } from 'react';

import { Faults, IRow } from '../model/form';
import { FaultList } from './field';
import { IconButton } from './row';

interface IRowsProps {
  /** `labels` or `properties`. */
  group: string;
  legend: string;
  rows: IRow[];
  faults: Faults;
  keyHint: string;
  /** Known keys with what each means. */
  known?: Readonly<Record<string, string>>;
  onChange: (rows: IRow[]) => void;
}

/** An editor of key and value rows, with each row's faults under it. */
export function Rows(props: IRowsProps): JSX.Element {
  const { group, rows, faults, known, onChange } = props;
  const id = useId();
  const { box, add, remove } = useRowEdits(rows, onChange);
  const set = (index: number, change: Partial<IRow>) =>
    onChange(rows.map((row, at) => (at === index ? { ...row, ...change } : row)));
  const field = (row: IRow, index: number, part: keyof IRow, hint: string) => (
    <input
      className="jp-mod-styled"
      name={`${group}.${index}.${part}`}
      aria-label={`${props.legend}: ${part} ${index + 1}`}
      aria-invalid={faults[`${group}.${index}`] !== undefined}
      aria-describedby={faults[`${group}.${index}`] && `${id}-${index}`}
      spellCheck={false}
      autoComplete="off"
      list={part === 'key' && known ? `jp-RuntimeSessions-known-${group}` : undefined}
      placeholder={hint}
      value={row[part]}
      onChange={event => set(index, { [part]: event.target.value })}
    />
  );
  return (
    <fieldset className="jp-RuntimeSessions-rows" ref={box}>
      <legend>{props.legend}</legend>
      {rows.map((row, index) => (
        <div key={index}>
          <div className="jp-RuntimeSessions-pair">
            {field(row, index, 'key', props.keyHint)}
            {field(row, index, 'value', 'value')}
            <IconButton
              icon={closeIcon}
              label={`Remove row ${index + 1}`}
              onClick={() => remove(index)}
            />
          </div>
          {known?.[row.key] && <p className="jp-RuntimeSessions-hint">{known[row.key]}</p>}
          <FaultList id={`${id}-${index}`} faults={faults[`${group}.${index}`]} />
        </div>
      ))}
      <FaultList faults={faults[group]} />
      {known && (
        <datalist id={`jp-RuntimeSessions-known-${group}`}>
          {Object.entries(known).map(([key, hint]) => (
            <option key={key} value={key} label={hint} />
          ))}
        </datalist>
      )}
      <button
        type="button"
        className="jp-RuntimeSessions-link jp-RuntimeSessions-add"
        onClick={add}
      >
        <addIcon.react tag="span" width="12px" height="12px" />
        Add
      </button>
    </fieldset>
  );
}

/** Adding and removing rows: a row that comes takes the focus, one that goes leaves it inside the dialog. */
function useRowEdits(rows: IRow[], onChange: (rows: IRow[]) => void) {
  const box = useRef<HTMLFieldSetElement>(null);
  const focus = (selector: string) =>
    requestAnimationFrame(() => {
      const found = box.current?.querySelectorAll<HTMLElement>(selector);
      found?.item(found.length - 1)?.focus();
    });
  return {
    box,
    add: () => {
      onChange([...rows, { key: '', value: '' }]);
      focus('.jp-RuntimeSessions-pair input:first-child');
    },
    remove: (index: number) => {
      onChange(rows.filter((_, at) => at !== index));
      focus('.jp-RuntimeSessions-pair input:first-child, .jp-RuntimeSessions-add');
    }
  };
}
