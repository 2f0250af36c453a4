/** The resources as the REST API answers them; only the fields that the panel reads are named. */

export const STATES = [
  'STATE_UNSPECIFIED',
  'CREATING',
  'ACTIVE',
  'TERMINATING',
  'TERMINATED',
  'FAILED'
] as const;

export type State = (typeof STATES)[number];

export interface IStateHistory {
  state: State;
  stateMessage?: string;
  stateStartTime: string;
}

export interface IJupyterSession {
  kernel?: string;
  displayName?: string;
}

export interface IExecutionConfig {
  ttl?: string;
  idleTtl?: string;
  [key: string]: unknown;
}

export interface IUsage {
  milliDcu?: string;
  milliDcuSeconds?: string;
  snapshotTime?: string;
  updateTime?: string;
  [key: string]: unknown;
}

export interface ISession {
  name: string;
  uuid: string;
  createTime: string;
  state: State;
  stateMessage?: string;
  stateTime?: string;
  stateHistory?: IStateHistory[];
  creator?: string;
  user?: string;
  labels?: Record<string, string>;
  jupyterSession?: IJupyterSession;
  sparkConnectSession?: Record<string, unknown>;
  sessionTemplate?: string;
  runtimeConfig?: { properties?: Record<string, string>; [key: string]: unknown };
  environmentConfig?: { executionConfig?: IExecutionConfig; [key: string]: unknown };
  runtimeInfo?: {
    endpoints?: Record<string, string>;
    approximateUsage?: IUsage;
    currentUsage?: IUsage;
    [key: string]: unknown;
  };
}

export interface ITemplate {
  name: string;
  displayName?: string;
  description?: string;
  labels?: Record<string, string>;
  jupyterSession?: IJupyterSession;
}

export interface ILocation {
  name: string;
  locationId?: string;
  displayName?: string;
  metadata?: Record<string, unknown>;
}

/** How a location is connected to the server. */
export interface IConnectHelp {
  /** The file, on the server's machine. */
  path: string;
  examples: { title: string; yaml: string }[];
}

/** What create and PATCH send. */
export interface ISessionBody {
  labels?: Record<string, string>;
  jupyterSession?: IJupyterSession;
  sparkConnectSession?: Record<string, never>;
  sessionTemplate?: string;
  runtimeConfig?: { properties: Record<string, string> };
  environmentConfig?: { executionConfig: { ttl?: string; idleTtl?: string } };
}

export interface IOperation {
  name: string;
  done?: boolean;
  metadata?: { session?: string; sessionUuid?: string };
  error?: { code: number; message: string };
}

/** A kernel of a session: Jupyter's model and what it uses. */
export interface ISessionKernel {
  id: string;
  name: string;
  execution_state?: string;
  last_activity?: string;
  connections?: number;
  usage?: IKernelUsage;
}

/** `cpu_percent` of one CPU and `memory_bytes`, 0 until they are measured. */
export interface IKernelUsage {
  cpu_percent?: number;
  memory_bytes?: number;
}

export interface ILogPage {
  content: string;
  offset: number;
  nextOffset: number;
  truncated: boolean;
  complete: boolean;
}

/** Whether nothing may follow this state. */
export function isFinal(state: State): boolean {
  return state === 'TERMINATED' || state === 'FAILED';
}

/** Whether it has kernels at all; a Spark Connect client speaks to one that has none. */
export function hasKernels(session: ISession): boolean {
  return session.sparkConnectSession === undefined;
}

/** The name a person gave the session, else its id. */
export function title(session: ISession): string {
  return session.jupyterSession?.displayName || shortName(session.name);
}

/** The last part of a resource name: the id of a session or a template. */
export function shortName(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1);
}

/** The location part of a resource name, `projects/{p}/locations/{l}`. */
export function parentOf(name: string): string {
  return name.split('/').slice(0, 4).join('/');
}

/** What a row says of where a session runs: the location's id, and its project when that is another's. */
export function locationLabel(name: string): string {
  const [, project, , location] = name.split('/');
  return project === 'local' ? location : `${location} (${project})`;
}

/** The kernel in words. */
export function kernelLabel(session: ISession): string {
  if (session.sparkConnectSession) {
    return 'Spark Connect';
  }
  return session.jupyterSession?.kernel === 'SCALA' ? 'Scala' : 'Python';
}
