import React from 'react';

import { Faults, IDraft } from '../model/form';
import { ILocation, ITemplate, parentOf, shortName } from '../model/session';
import { formatDuration, parseDuration } from '../model/time';
import { FaultList, Rows } from './rows';

/** The properties the embedded location understands. */
export const PROPERTIES: Readonly<Record<string, string>> = {
  'local:python':
    'Interpreter or environment directory for the kernel; ipykernel must be installed in it.',
  'local:kernelspec': 'Name of an installed kernelspec to use instead of the default one.',
  'local:cwd': 'Working directory of the kernels; by default the notebook’s folder.',
  'local:memory': 'Memory limit of the whole session: 512Mi, 4G; at least 256Mi.',
  'local:env.NAME': 'An environment variable for the kernels; put its name for NAME.'
};

export interface IFormProps {
  draft: IDraft;
  faults: Faults;
  busy: boolean;
  templates: readonly ITemplate[];
  locations: readonly ILocation[];
  onChange: (change: Partial<IDraft>) => void;
}

/** The form of a new session; essentials first, limits and properties below. */
export function CreateForm(props: IFormProps): JSX.Element {
  const { draft, faults, onChange } = props;
  return (
    <div className="jp-RuntimeSessions-form" aria-busy={props.busy}>
      <FaultList faults={faults.form} />
      <TextField {...props} field="id" label="Id" hint="4 to 63 letters, digits and hyphens" />
      <TextField
        {...props}
        field="displayName"
        label="Display name"
        hint="shown on the kernel’s card"
      />
      <Choices {...props} />
      <Rows
        group="labels"
        legend="Labels"
        rows={draft.labels}
        faults={faults}
        keyHint="env"
        onChange={labels => onChange({ labels })}
      />
      <fieldset className="jp-RuntimeSessions-limits">
        <legend>Limits</legend>
        <TextField
          {...props}
          field="idleTtl"
          label="Ends when idle for"
          hint={limitHint(props, 'idleTtl', '8 h')}
        />
        <TextField
          {...props}
          field="ttl"
          label="Ends at the latest after"
          hint={limitHint(props, 'ttl', '3 d')}
        />
      </fieldset>
      <Rows
        group="properties"
        legend="Properties"
        rows={draft.properties}
        faults={faults}
        keyHint="local:cwd"
        known={PROPERTIES}
        onChange={properties => onChange({ properties })}
      />
    </div>
  );
}

/** An example, and what stands for an empty field where the location says so. */
function limitHint(props: IFormProps, limit: 'ttl' | 'idleTtl', example: string): string {
  const place = props.locations.find(location => location.name === props.draft.parent);
  const limits = place?.metadata?.limits;
  const text: unknown = typeof limits === 'object' && limits ? Reflect.get(limits, limit) : '';
  const standard = formatDuration(parseDuration(typeof text === 'string' ? text : ''));
  return `${example}; empty: ${standard || 'the default'}`;
}

function TextField(
  props: IFormProps & {
    field: 'id' | 'displayName' | 'ttl' | 'idleTtl';
    label: string;
    hint: string;
  }
): JSX.Element {
  const { field, draft, faults } = props;
  return (
    <label className="jp-RuntimeSessions-field">
      <span>{props.label}</span>
      <input
        className="jp-mod-styled"
        name={field}
        placeholder={props.hint}
        aria-invalid={faults[field] !== undefined}
        spellCheck={false}
        autoComplete="off"
        value={draft[field]}
        onChange={event => props.onChange({ [field]: event.target.value })}
      />
      <FaultList faults={faults[field]} />
    </label>
  );
}

/** Location (where there is a choice), kernel, and template. */
function Choices(props: IFormProps): JSX.Element {
  const { draft, locations } = props;
  const templates = props.templates.filter(template => parentOf(template.name) === draft.parent);
  const kernels: [string, string][] = [
    ['PYTHON', 'Python'],
    ['SCALA', 'Scala']
  ];
  if (draft.template) {
    kernels.unshift(['', 'The template’s']);
  }
  const places = locations.map((place): [string, string] => [
    place.name,
    place.displayName || shortName(place.name)
  ]);
  return (
    <>
      {places.length > 1 && (
        <Choice
          {...props}
          field="parent"
          label="Location"
          options={places}
          also={{ template: '' }}
        />
      )}
      <Choice {...props} field="kernel" label="Kernel" options={kernels} />
      <Choice
        {...props}
        field="template"
        label="Template"
        options={[
          ['', 'None'],
          ...templates.map((template): [string, string] => [
            template.name,
            template.displayName || shortName(template.name)
          ])
        ]}
      />
    </>
  );
}

function Choice(
  props: IFormProps & {
    field: 'parent' | 'kernel' | 'template';
    label: string;
    options: [string, string][];
    also?: Partial<IDraft>;
  }
): JSX.Element {
  const { field, draft, faults } = props;
  return (
    <label className="jp-RuntimeSessions-field">
      <span>{props.label}</span>
      <div className="jp-select-wrapper">
        <select
          className="jp-mod-styled"
          name={field}
          aria-invalid={faults[field] !== undefined}
          value={draft[field]}
          onChange={event => props.onChange({ ...props.also, [field]: event.target.value })}
        >
          {props.options.map(([value, text]) => (
            <option key={value} value={value}>
              {text}
            </option>
          ))}
        </select>
      </div>
      <FaultList faults={faults[field]} />
    </label>
  );
}
