import { EndCause } from './ends';
import { ISessionBody } from './session';
import { limitFault, typedFault } from './limit';
import { SPARK_CONNECT } from './location';
import { onWire, parseTyped } from './time';

export interface IRow {
  key: string;
  value: string;
}

/** What the create form holds, as typed. */
export interface IDraft {
  parent: string;
  id: string;
  displayName: string;
  kernel: string;
  template: string;
  labels: IRow[];
  ttl: string;
  idleTtl: string;
  properties: IRow[];
}

export interface IViolation {
  field: string;
  description: string;
}

/** Faults by field of the form; what belongs to none stands under `form`. */
export type Faults = Record<string, string[]>;

const PLACES: readonly [RegExp, string][] = [
  [/^(sessionId|name)$/, 'id'],
  [/^jupyterSession\.displayName$/, 'displayName'],
  [/^(jupyterSession|sparkConnectSession)(\.kernel)?$/, 'kernel'],
  [/^sessionTemplate$/, 'template'],
  [/^environmentConfig\.executionConfig\.ttl$/, 'ttl'],
  [/^environmentConfig\.executionConfig\.idleTtl$/, 'idleTtl']
];

/** The location that is there where nothing is configured. */
const LOCAL = 'projects/local/locations/local';

/** A draft with an id suggested that none of `taken` has. */
export function emptyDraft(parent: string, taken: readonly string[], user = ''): IDraft {
  const id = suggestId(taken, user);
  return {
    parent,
    id,
    displayName: '',
    kernel: 'PYTHON',
    template: '',
    labels: [],
    ttl: '',
    idleTtl: '',
    properties: []
  };
}

/** A draft as it must change to go to another location: what that one does not offer is let go. */
export function moved(draft: IDraft, parent: string, kinds: readonly string[]): Partial<IDraft> {
  const kernel = kinds.includes(draft.kernel) ? draft.kernel : (kinds[0] ?? '');
  return parent === draft.parent ? {} : { parent, template: '', kernel };
}

/**
 * A draft as it must change to follow a template: its kernel is the natural choice; without one there is none to take.
 *
 * @param kinds - what the draft's location offers
 */
export function templated(
  draft: IDraft,
  template: string,
  kinds: readonly string[]
): Partial<IDraft> {
  return { template, kernel: template ? '' : draft.kernel || (kinds[0] ?? '') };
}

/** The faults that still hold as a draft changes: those of what changed go, those of rows go with their rows. */
export function remaining(faults: Faults, draft: IDraft, change: Partial<IDraft>): Faults {
  const left: Faults = {};
  for (const [place, found] of Object.entries(faults)) {
    const [field, index] = place.split('.');
    const key = field as keyof IDraft;
    if (!(key in change)) {
      left[place] = found;
    } else if (index !== undefined && (key === 'labels' || key === 'properties')) {
      const at = change[key]?.indexOf(draft[key][Number(index)]) ?? -1;
      if (at >= 0) {
        left[`${field}.${at}`] = found;
      }
    }
  }
  return left;
}

/**
 * The location that a new session is offered first.
 *
 * @param usable - the locations that answer, in their order
 * @param last - the one used last, if any
 */
export function firstPlace(usable: readonly string[], last: string): string {
  return usable.includes(last) ? last : usable.includes(LOCAL) ? LOCAL : (usable[0] ?? LOCAL);
}

/** A free session id: `session-1`, or the first free number after it, led by the user's name where it fits. */
export function suggestId(taken: readonly string[], user = ''): string {
  const base = /^[a-z][a-z0-9-]{1,20}[a-z0-9]$/.test(user) ? user : 'session';
  for (let number = 1; ; number++) {
    const id = `${base}-${number}`;
    if (!taken.includes(id)) {
      return id;
    }
  }
}

function mapOf(rows: readonly IRow[]): Record<string, string> {
  return Object.fromEntries(
    rows.filter(row => row.key || row.value).map(row => [row.key, row.value])
  );
}

/** A typed limit on the wire, nothing for an empty field; what cannot be read goes as typed, and is refused. */
function limitOf(text: string): string | undefined {
  const seconds = parseTyped(text);
  return text.trim() === '' ? undefined : Number.isFinite(seconds) ? onWire(seconds) : text.trim();
}

/** The body of a create; fields left empty are left out. */
export function bodyOf(draft: IDraft): ISessionBody {
  const body: ISessionBody = {};
  const labels = mapOf(draft.labels);
  const properties = mapOf(draft.properties);
  const limits = { ttl: limitOf(draft.ttl), idleTtl: limitOf(draft.idleTtl) };
  if (draft.kernel === SPARK_CONNECT) {
    body.sparkConnectSession = {};
  } else if (draft.kernel || draft.displayName) {
    body.jupyterSession = {
      ...(draft.kernel ? { kernel: draft.kernel } : {}),
      ...(draft.displayName ? { displayName: draft.displayName } : {})
    };
  }
  if (draft.template) {
    body.sessionTemplate = draft.template;
  }
  if (Object.keys(labels).length) {
    body.labels = labels;
  }
  if (Object.keys(properties).length) {
    body.runtimeConfig = { properties };
  }
  if (limits.ttl || limits.idleTtl) {
    body.environmentConfig = { executionConfig: limits };
  }
  return body;
}

/**
 * The limits that are none, in words. The service refuses them too, and with them it names every other fault at once.
 *
 * @param longest - the longest limits of the draft's location, in seconds
 */
export function limitFaults(draft: IDraft, longest: Record<EndCause, number>): Faults {
  const faults: Faults = {};
  for (const limit of ['ttl', 'idleTtl'] as const) {
    const fault = draft[limit].trim() && typedFault(draft[limit], longest[limit]);
    if (fault) {
      add(faults, limit, fault);
    }
  }
  return faults;
}

/** Faults that only the form can see: two rows of one key, a value without a key. */
export function ownFaults(draft: IDraft): Faults {
  const faults: Faults = {};
  for (const group of ['labels', 'properties'] as const) {
    const seen = new Set<string>();
    draft[group].forEach((row, index) => {
      if (!row.key && row.value) {
        add(faults, `${group}.${index}`, 'A value needs a key. Name it, or remove the row.');
      }
      if (row.key && seen.has(row.key)) {
        add(faults, `${group}.${index}`, `“${row.key}” stands here twice. Remove one.`);
      }
      seen.add(row.key);
    });
  }
  return faults;
}

/**
 * Put each of the server's faults beside its field of the form; rows are `labels.{index}`, `properties.{index}`.
 *
 * @param longest - the longest limits of the draft's location, in seconds; they are told in a person's words
 */
export function faultsOf(
  violations: readonly IViolation[],
  draft: IDraft,
  longest: Record<EndCause, number>
): Faults {
  const faults: Faults = {};
  for (const { field, description } of violations) {
    const place = placeOf(field, draft);
    const limit = place === 'ttl' || place === 'idleTtl';
    add(faults, place, limit ? limitFault(draft[place], longest[place], description) : description);
  }
  return faults;
}

function placeOf(field: string, draft: IDraft): string {
  const path = field.replace(/^session\./, '');
  const known = PLACES.find(([pattern]) => pattern.test(path));
  if (known) {
    return known[1];
  }
  return (
    rowOf('labels', 'labels', path, draft.labels) ??
    rowOf('properties', 'runtimeConfig.properties', path, draft.properties) ??
    'form'
  );
}

function rowOf(
  group: string,
  prefix: string,
  path: string,
  rows: readonly IRow[]
): string | undefined {
  if (path === prefix) {
    return group;
  }
  const rest = path.startsWith(prefix) ? path.slice(prefix.length) : '';
  const key =
    /^\[["']?(.*?)["']?\]$/.exec(rest)?.[1] ?? (rest.startsWith('.') ? rest.slice(1) : undefined);
  if (key === undefined) {
    return undefined;
  }
  const index = rows.findIndex(row => row.key === key.replace(/^["'](.*)["']$/, '$1'));
  return index < 0 ? group : `${group}.${index}`;
}

function add(faults: Faults, place: string, description: string): void {
  const found = (faults[place] ??= []);
  if (!found.includes(description)) {
    found.push(description);
  }
}
