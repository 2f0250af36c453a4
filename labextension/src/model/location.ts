import { ILocation, locationLabel, parentOf } from './session';
import { parseTime } from './time';

/** What is wrong with a location now. */
export interface ITrouble {
  /** A google.rpc status: UNAVAILABLE, UNAUTHENTICATED, PERMISSION_DENIED, … */
  status: string;
  /** Milliseconds since the epoch; NaN where unknown. */
  since: number;
  message: string;
  /** What a person can do, one sentence each; commands stand in backticks. */
  remedy: readonly string[];
  /** Whether what is shown of its sessions is the last known state, and nothing can be done with them. */
  stale: boolean;
}

/** That a location did not answer a list: since when (milliseconds since the epoch), and why. */
export interface ISilence {
  since: number;
  status: string;
  message: string;
}

/** What a location may be unable to do. */
export type Ability = 'update' | 'logs' | 'kernels' | 'templates';

/** What Google's API has no method for, where the location does not say it itself. */
const GOOGLE_LACKS: readonly Ability[] = ['update', 'logs'];

/** The name a person knows a location by. */
export function placeTitle(location: ILocation | undefined, name: string): string {
  const given = location?.displayName;
  // An id stands for a name that nobody gave: the label says the project too.
  return given && given !== location.locationId ? given : locationLabel(name);
}

/** Whether another server stands behind a location. */
export function isUpstream(location: ILocation | undefined): boolean {
  return location?.metadata?.provider === 'upstream';
}

/** Whether it is Google's service that stands behind a location. */
export function isGoogle(location: ILocation | undefined): boolean {
  return location?.metadata?.upstream === 'google';
}

/** The location of a session, a template or of itself. */
export function locationOf(locations: readonly ILocation[], name: string): ILocation | undefined {
  const parent = parentOf(name);
  return locations.find(location => location.name === parent);
}

/**
 * What is wrong with a location, or nothing.
 *
 * @param location - as the server describes it
 * @param silence - what a list found, where it did not answer one
 */
export function troubleOf(
  location: ILocation | undefined,
  silence?: ISilence
): ITrouble | undefined {
  const told = record(location?.metadata?.status);
  const message = text(told.message);
  const since = parseTime(text(told.since));
  const remedy = Array.isArray(told.remedy) ? told.remedy.map(text).filter(step => step) : [];
  const status = text(told.status);
  if (told.reachable === false) {
    return { status: status || 'UNAVAILABLE', since, message, remedy, stale: true };
  }
  if (silence) {
    return { ...silence, message: silence.message || message, remedy, stale: true };
  }
  if (status && status !== 'OK') {
    return { status, since, message, remedy, stale: false };
  }
  const fault = text(location?.metadata?.fault);
  return fault
    ? { status: 'FAILED_PRECONDITION', since: NaN, message: fault, remedy: [], stale: false }
    : undefined;
}

/** What is wrong with the files that name locations, as this machine's location tells it; each fault is a step. */
export function configurationTrouble(location: ILocation): ITrouble | undefined {
  const faults: unknown = record(location.metadata?.configuration).faults;
  if (!Array.isArray(faults) || !faults.length) {
    return undefined;
  }
  const told = faults.map(record);
  const sources = [...new Set(told.map(fault => text(fault.source)))];
  const steps = told.map(fault => {
    const line = typeof fault.line === 'number' && fault.line > 0 ? `line ${fault.line}` : '';
    const file = sources.length > 1 ? text(fault.source).replace(/^.*\//, '') : '';
    const place = [file, line, text(fault.field)].filter(part => part).join(', ');
    const remedy = text(fault.remedy) ? `; ${text(fault.remedy)}` : '';
    const said = `${place ? `${place}: ` : ''}${text(fault.rule)}${remedy}`;
    const first = file ? said.charAt(0) : said.charAt(0).toUpperCase();
    return `${first}${said.slice(1)}${/[.?]$/.test(said) ? '' : '.'}`;
  });
  const files = sources.map(source => `\`${source}\``).join(' ');
  return {
    status: CONFIGURATION,
    since: NaN,
    message: '',
    remedy: [
      ...steps,
      `Mend it in ${files}, then restart the Jupyter server. Sessions that run go on.`
    ],
    stale: false
  };
}

/** The status of a trouble with the configuration itself, of no one location. */
export const CONFIGURATION = 'CONFIGURATION';

/** Whether a location cannot do something, as it says itself. */
export function lacks(location: ILocation | undefined, ability: Ability): boolean {
  const can = record(location?.metadata?.capabilities)[ability];
  if (typeof can === 'boolean') {
    return !can;
  }
  return isGoogle(location) && GOOGLE_LACKS.includes(ability);
}

/** The kinds of session that a location offers: the value of the form's field and its words. */
export function kindsOf(location: ILocation | undefined): [string, string][] {
  const capabilities = record(location?.metadata?.capabilities);
  const named: unknown = capabilities.kernels;
  const kinds: [string, string][] = [];
  if (capabilities.jupyterSession !== false) {
    const offered = (kernel: string) => !Array.isArray(named) || named.includes(kernel);
    const both: [string, string][] = [
      ['PYTHON', 'Python'],
      ['SCALA', 'Scala']
    ];
    kinds.push(...both.filter(([kernel]) => offered(kernel)));
  }
  const spark = capabilities.sparkConnectSession;
  if (typeof spark === 'boolean' ? spark : isGoogle(location)) {
    kinds.push([SPARK_CONNECT, 'Spark Connect']);
  }
  return kinds;
}

/** The form's value for a session without a kernel, which a Spark Connect client speaks to. */
export const SPARK_CONNECT = 'SPARK_CONNECT';

/** The keys of properties that a location says it knows; nothing where it does not say. */
export function propertiesOf(location: ILocation | undefined): string[] | undefined {
  const named: unknown = record(location?.metadata?.capabilities).properties;
  return Array.isArray(named) ? named.map(text).filter(key => key) : undefined;
}

/** A value of the location's limits, as a duration on the wire; empty where it names none. */
export function limitOf(
  location: ILocation | undefined,
  limit: 'ttl' | 'idleTtl' | 'maxTtl' | 'maxIdleTtl'
): string {
  return text(record(location?.metadata?.limits)[limit]);
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
