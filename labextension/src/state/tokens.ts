import { Token } from '@lumino/coreutils';
import { ISignal } from '@lumino/signaling';

import type { KernelLinks } from './kernels';
import { Link } from '../api/stream';
import { Ability, ITrouble } from '../model/location';
import {
  IConnectHelp,
  ILocation,
  ILogPage,
  ISession,
  ISessionBody,
  ISessionKernel,
  ITemplate,
  State
} from '../model/session';

/** A session whose state changed, or that is new to the page (then without an old state). */
export interface ITransition {
  session: ISession;
  oldState?: State;
}

/** The sessions of every location as this page knows them, kept current by the watch stream. */
export interface IRuntimeSessions {
  readonly sessions: readonly ISession[];
  readonly templates: readonly ITemplate[];
  readonly locations: readonly ILocation[];
  /** Whether changes arrive by themselves. */
  readonly link: Link;
  /** When the stream is tried again, milliseconds since the epoch; 0 while none is planned. */
  readonly retryAt: number;
  /** Why the last list failed, or nothing. */
  readonly error: string;
  /** Whether a list has been answered yet. */
  readonly loaded: boolean;

  /** Emits when anything above changed. */
  readonly changed: ISignal<IRuntimeSessions, void>;
  /** Emits when a session changed its state. */
  readonly transition: ISignal<IRuntimeSessions, ITransition>;

  get(name: string): ISession | undefined;
  /** The location of a session, a template or of itself, by resource name. */
  locationOf(name: string): ILocation | undefined;
  /** What is wrong with that location now. */
  trouble(name: string): ITrouble | undefined;
  /** Why nothing can be done with a session now, or not what takes an `ability` of its location; else empty. */
  blocked(name: string, ability?: Ability): string;
  /** List again, and connect again if the stream is down. Never rejects: `error` tells. */
  refresh(): Promise<void>;
  /** Called at each tick of what shows sessions: reads the locations when that is due. */
  look(now: number): void;
  /** Create a session; resolves once its row is here. `requestId` is the same over retries. */
  create(
    parent: string,
    id: string,
    body: ISessionBody,
    requestId: string
  ): Promise<ISession | undefined>;
  terminate(name: string): Promise<void>;
  /** Remove a session; a live one is ended first. */
  remove(name: string): Promise<void>;
  /** Set limits, durations on the wire such as `3600s`. */
  setLimits(name: string, limits: { ttl?: string; idleTtl?: string }): Promise<void>;
  listKernels(name: string): Promise<ISessionKernel[]>;
  readLog(name: string, offset: number, limit: number): Promise<ILogPage>;
  /** How a location is connected to the server. */
  connectHelp(): Promise<IConnectHelp>;
}

export const IRuntimeSessions = new Token<IRuntimeSessions>(
  'jupyter-sessions:IRuntimeSessions',
  'The interactive sessions of every location, their changes, and the calls that change them.'
);

export const IKernelLinks = new Token<KernelLinks>(
  'jupyter-sessions:IKernelLinks',
  'Which kernels and notebooks of this page live in which session.'
);

export type IKernelLinks = KernelLinks;
