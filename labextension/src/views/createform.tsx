import React from 'react';

import { Faults, IDraft, moved } from '../model/form';
import {
  isGoogle,
  kindsOf,
  limitOf,
  locationOf,
  placeTitle,
  propertiesOf,
  SPARK_CONNECT
} from '../model/location';
import { ILocation, ITemplate, parentOf, shortName } from '../model/session';
import { formatDuration, parseDuration } from '../model/time';
import { Field, FaultList } from './field';
import { Rows } from './rows';

/** What the properties of a session on this machine mean. */
const PROPERTIES: Readonly<Record<string, string>> = {
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
  /** Why a location cannot be chosen now, or empty. */
  blocked: (place: string) => string;
  onChange: (change: Partial<IDraft>) => void;
}

/** The form of a new session; essentials first, limits and properties below. */
export function CreateForm(props: IFormProps): JSX.Element {
  const { draft, faults, onChange } = props;
  const place = locationOf(props.locations, draft.parent);
  return (
    <div className="jp-RuntimeSessions-form" aria-busy={props.busy}>
      <FaultList faults={faults.form} />
      <TextField
        {...props}
        field="id"
        label="Id"
        hint="4 to 63 small letters, digits and hyphens"
      />
      {draft.kernel !== SPARK_CONNECT && (
        <TextField
          {...props}
          field="displayName"
          label="Display name"
          hint="Shown on the launcher’s card and in the kernel picker"
        />
      )}
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
        keyHint={isGoogle(place) ? 'spark.executor.cores' : 'local:cwd'}
        known={knownProperties(place)}
        onChange={properties => onChange({ properties })}
      />
    </div>
  );
}

/** An example, and what stands for an empty field where the location says so. */
function limitHint(props: IFormProps, limit: 'ttl' | 'idleTtl', example: string): string {
  const place = locationOf(props.locations, props.draft.parent);
  const standard = formatDuration(parseDuration(limitOf(place, limit)));
  return `Such as ${example}; empty: ${standard || 'as the location sets it'}`;
}

/** The properties that a location says it knows, with what each means where that is known. */
function knownProperties(place: ILocation | undefined): Readonly<Record<string, string>> {
  const keys = propertiesOf(place)?.map(key => (key.endsWith('env.') ? `${key}NAME` : key));
  return keys ? Object.fromEntries(keys.map(key => [key, PROPERTIES[key] ?? ''])) : {};
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
    <Field label={props.label} hint={props.hint} faults={faults[field]}>
      {control => (
        <input
          {...control}
          className="jp-mod-styled"
          name={field}
          spellCheck={false}
          autoComplete="off"
          value={draft[field]}
          onChange={event => props.onChange({ [field]: event.target.value })}
        />
      )}
    </Field>
  );
}

/** Location (where there is a choice), kernel, and template. */
function Choices(props: IFormProps): JSX.Element {
  const { draft, locations } = props;
  const templates = props.templates.filter(template => parentOf(template.name) === draft.parent);
  const kernels = kindsOf(locationOf(locations, draft.parent));
  if (draft.template) {
    kernels.unshift(['', 'The template’s']);
  }
  const places = locations.map(place => optionOf(place, props.blocked(place.name)));
  const move = (parent: string) =>
    moved(
      draft,
      parent,
      kindsOf(locationOf(locations, parent)).map(([kind]) => kind)
    );
  return (
    <>
      {places.length > 1 && (
        <Choice {...props} field="parent" label="Location" options={places} also={move} />
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

/** A value, its words, and why it cannot be chosen. */
type Option = [string, string, string?];

function optionOf(place: ILocation, blocked: string): Option {
  const name = placeTitle(place, place.name);
  return [place.name, blocked ? `${name} (cannot be used now)` : name, blocked];
}

function Choice(
  props: IFormProps & {
    field: 'parent' | 'kernel' | 'template';
    label: string;
    options: Option[];
    /** What else changes with the choice. */
    also?: (value: string) => Partial<IDraft>;
  }
): JSX.Element {
  const { field, draft, faults } = props;
  return (
    <Field label={props.label} faults={faults[field]}>
      {control => (
        <div className="jp-select-wrapper">
          <select
            {...control}
            className="jp-mod-styled"
            name={field}
            value={draft[field]}
            onChange={event =>
              props.onChange({ ...props.also?.(event.target.value), [field]: event.target.value })
            }
          >
            {props.options.map(([value, text, why]) => (
              <option key={value} value={value} disabled={Boolean(why)} title={why || undefined}>
                {text}
              </option>
            ))}
          </select>
        </div>
      )}
    </Field>
  );
}
