import React, { useId } from 'react';

/** What ties a control to its label, its hint and its faults. */
export interface IControl {
  id: string;
  'aria-invalid': boolean;
  'aria-describedby': string | undefined;
}

/** A labelled control with its hint and its faults under it; the label's words alone are the control's name. */
export function Field(props: {
  label: string;
  hint?: string;
  faults?: string[];
  children: (control: IControl) => React.ReactNode;
}): JSX.Element {
  const { label, faults } = props;
  // A fault says the rule again.
  const hint = faults ? undefined : props.hint;
  const id = useId();
  const described = [hint && `${id}-hint`, faults && `${id}-faults`].filter(part => part);
  return (
    <div className="jp-RuntimeSessions-field">
      <label htmlFor={id}>{label}</label>
      {props.children({
        id,
        'aria-invalid': faults !== undefined,
        'aria-describedby': described.join(' ') || undefined
      })}
      {hint && (
        <p className="jp-RuntimeSessions-hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
      <FaultList id={`${id}-faults`} faults={faults} />
    </div>
  );
}

/** The faults of one field, read out when they appear. */
export function FaultList(props: { faults?: string[]; id?: string }): JSX.Element | null {
  if (!props.faults?.length) {
    return null;
  }
  return (
    <ul className="jp-RuntimeSessions-faults" role="alert" id={props.id}>
      {props.faults.map(fault => (
        <li key={fault}>{fault}</li>
      ))}
    </ul>
  );
}
