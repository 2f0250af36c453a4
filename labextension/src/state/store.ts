import { IDisposable } from '@lumino/disposable';
import { ISignal, Signal } from '@lumino/signaling';

import {
  accepted,
  ApiError,
  IListing,
  listEverywhere,
  newRequestId,
  SessionsRest
} from '../api/rest';
import { Link, WatchStream } from '../api/stream';
import { Ability, ITrouble, lacks, placeTitle } from '../model/location';
import {
  IConnectHelp,
  ILocation,
  ILogPage,
  ISession,
  ISessionBody,
  ISessionKernel,
  ITemplate,
  parentOf
} from '../model/session';
import { blockedPhrase } from '../model/trouble';
import { Cursor, IChange, IReset, isReset } from '../model/watch';
import { Places } from './places';
import { IRuntimeSessions, ITransition } from './tokens';

/** What the store needs of the watch stream; tests give one of their own. */
export type IStream = Pick<
  WatchStream,
  'message' | 'linkChanged' | 'link' | 'retryAt' | 'open' | 'dispose'
>;

const LACKS: Record<Ability, (place: string) => string> = {
  update: place => `${place} cannot change a session once it is made.`,
  logs: place => `${place} offers no log of its sessions here.`,
  kernels: place => `${place} does not tell the kernels of its sessions.`,
  templates: place => `${place} keeps no templates.`
};

/** A session that is being got: whether once more, and whether it was deleted meanwhile. */
interface IFetch {
  again: boolean;
  gone: boolean;
  done: Promise<void>;
}

/** Keeps the sessions: lists once, then follows the stream and gets each session that changed. */
export class SessionStore implements IRuntimeSessions, IDisposable {
  constructor(
    private readonly _rest: SessionsRest,
    makeStream: (query: () => string) => IStream
  ) {
    this._places = new Places(() => _rest.listLocations());
    this._places.changed.connect(this._emit, this);
    this._stream = makeStream(() => this._cursor.query());
    this._stream.message.connect(this._onMessage, this);
    this._stream.linkChanged.connect(this._onLink, this);
    this._stream.open();
  }

  get sessions(): readonly ISession[] {
    return [...this._sessions.values()];
  }

  get templates(): readonly ITemplate[] {
    return this._templates;
  }

  get locations(): readonly ILocation[] {
    return this._places.all;
  }

  get link(): Link {
    return this._stream.link;
  }

  get retryAt(): number {
    return this._stream.retryAt;
  }

  get error(): string {
    return this._error;
  }

  get loaded(): boolean {
    return this._loaded;
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get transition(): ISignal<this, ITransition> {
    return this._transition;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  get(name: string): ISession | undefined {
    return this._sessions.get(name);
  }

  locationOf(name: string): ILocation | undefined {
    return this._places.of(name);
  }

  trouble(name: string): ITrouble | undefined {
    return this._places.trouble(name);
  }

  blocked(name: string, ability?: Ability): string {
    const trouble = this.trouble(name);
    const place = this.locationOf(name);
    const title = placeTitle(place, name);
    if (trouble?.stale) {
      return blockedPhrase(title, trouble, Date.now());
    }
    return ability && lacks(place, ability) ? LACKS[ability](title) : '';
  }

  async refresh(): Promise<void> {
    this._stream.open();
    await this._list();
  }

  look(now: number): void {
    if (this._places.isDue(now)) {
      void this._readPlaces();
    }
  }

  async create(
    parent: string,
    id: string,
    body: ISessionBody,
    requestId: string
  ): Promise<ISession | undefined> {
    const operation = accepted(await this._acted(this._rest.create(parent, id, body, requestId)));
    const name = operation.metadata?.session ?? `${parent}/sessions/${id}`;
    await this._fetch(name);
    return this.get(name);
  }

  async terminate(name: string): Promise<void> {
    accepted(await this._acted(this._rest.terminate(name, newRequestId())));
    await this._fetch(name);
  }

  async remove(name: string): Promise<void> {
    const uuid = this.get(name)?.uuid;
    const operation = accepted(await this._acted(this._rest.remove(name, newRequestId())));
    if (operation.done) {
      this._drop(name, uuid);
    } else {
      await this._fetch(name);
    }
  }

  async setLimits(name: string, limits: { ttl?: string; idleTtl?: string }): Promise<void> {
    const mask = Object.keys(limits).map(field => `environmentConfig.executionConfig.${field}`);
    const body = { environmentConfig: { executionConfig: limits } };
    this._put(await this._acted(this._rest.update(name, body, mask)));
    const running = this._fetching.get(name);
    if (running) {
      // What is under way may have been read before.
      running.again = true;
    }
  }

  listKernels(name: string): Promise<ISessionKernel[]> {
    return this._rest.listKernels(name);
  }

  readLog(name: string, offset: number, limit: number): Promise<ILogPage> {
    return this._rest.readLog(name, offset, limit);
  }

  connectHelp(): Promise<IConnectHelp> {
    return this._rest.connectHelp();
  }

  dispose(): void {
    if (this._isDisposed) {
      return;
    }
    this._isDisposed = true;
    this._stream.dispose();
    Signal.clearData(this);
  }

  private _onMessage(_: unknown, message: IChange | IReset): void {
    const location = message.location ?? (isReset(message) ? '' : parentOf(message.session));
    const sequence = Number(message.sequence);
    if (isReset(message)) {
      this._cursor.reset(location, sequence);
      void this._list();
      return;
    }
    if (!this._cursor.advance(location, sequence)) {
      return;
    }
    if (this.trouble(location)?.stale) {
      void this._readPlaces();
    }
    const { session } = message;
    const name = session.includes('/') ? session : `${location}/sessions/${session}`;
    if (message.newState === 'STATE_UNSPECIFIED') {
      this._drop(name, message.sessionUuid);
    } else {
      void this._fetch(name);
    }
  }

  private _onLink(_: unknown, link: Link): void {
    this._changed.emit();
    // Listed after the stream is open, no change falls between; a stream that resumes everywhere needs no list,
    // unless one failed meanwhile.
    const known = this.locations.length > 0 && this._cursor.covers(this._parents());
    const resumed = this._loaded && !this._error && known;
    if (link === 'lost' || !resumed) {
      void this._list();
    }
  }

  /** Hear the end of an act; one that failed may have met a location that does not answer. */
  private async _acted<T>(act: Promise<T>): Promise<T> {
    try {
      return await act;
    } catch (error) {
      void this._readPlaces();
      throw error;
    }
  }

  /** Read the locations, and list again where one came back. A failure is told by the link and by lists. */
  private async _readPlaces(): Promise<void> {
    const again = await this._places.read().catch(() => false);
    if (again && !this._isDisposed) {
      await this._list();
    }
  }

  private _parents(): Set<string> {
    const places = this.locations.map(location => location.name);
    return new Set([...places, ...this.sessions.map(session => parentOf(session.name))]);
  }

  /** One list at a time; a list asked for meanwhile starts when that one is done. */
  private async _list(): Promise<void> {
    if (this._listing) {
      this._listAgain = true;
      return this._listing;
    }
    this._listing = this._listNow();
    await this._listing;
    this._listing = null;
    if (this._listAgain && !this._isDisposed) {
      this._listAgain = false;
      await this._list();
    }
  }

  private async _listNow(): Promise<void> {
    const touched = new Set<string>();
    this._touched = touched;
    try {
      const reading = this._places.read();
      const places = async () => {
        await reading;
        return this.locations.map(({ name }) => name);
      };
      const [templates, sessions] = await Promise.all([
        listEverywhere(parent => this._rest.listTemplates(parent), places),
        listEverywhere(parent => this._rest.listSessions(parent), places),
        reading
      ]);
      this._take(templates, sessions, touched);
      this._error = '';
      this._loaded = true;
    } catch (error) {
      this._error = error instanceof Error ? error.message : String(error);
    }
    this._emit();
  }

  /**
   * Take whole lists; what a location held that did not answer stays as it was.
   *
   * @param touched - the sessions that changed since the lists were asked for: what was heard of them is newer
   */
  private _take(
    templates: IListing<ITemplate>,
    sessions: IListing<ISession>,
    touched: ReadonlySet<string>
  ): void {
    const silent = (list: IListing<unknown>, name: string) =>
      list.unreachable.some(place => place.name === parentOf(name));
    const fresh = new Set(templates.rows.map(template => template.name));
    const kept = this._templates.filter(({ name }) => !fresh.has(name) && silent(templates, name));
    this._templates = [...templates.rows, ...kept];
    this._places.listed(sessions.unreachable, Date.now());
    const names = new Set(sessions.rows.map(session => session.name));
    for (const name of this._sessions.keys()) {
      if (!names.has(name) && !silent(sessions, name) && !touched.has(name)) {
        this._sessions.delete(name);
      }
    }
    const rows = sessions.rows.filter(({ name }) => !touched.has(name));
    rows.forEach(session => this._put(session, false));
  }

  /** Get one session anew. A change told while its answer is under way makes another get. */
  private async _fetch(name: string): Promise<void> {
    const running = this._fetching.get(name);
    if (running) {
      running.again = true;
      return running.done;
    }
    const job = { again: false, gone: false, done: Promise.resolve() };
    this._fetching.set(name, job);
    job.done = this._fetchUntilCurrent(name, job);
    return job.done;
  }

  private async _fetchUntilCurrent(name: string, job: IFetch): Promise<void> {
    do {
      job.again = job.gone = false;
      try {
        const session = await this._rest.getSession(name);
        if (!job.gone) {
          this._put(session);
        }
      } catch (error) {
        if (!(error instanceof ApiError) || error.code !== 404) {
          this._fetching.delete(name);
          return this._list();
        }
        this._drop(name);
      }
    } while (job.again);
    this._fetching.delete(name);
  }

  /** Forget a session that is deleted; one made anew under its name has another uuid and stays. */
  private _drop(name: string, uuid?: string): void {
    const running = this._fetching.get(name);
    if (running && uuid !== undefined) {
      // The answer under way may be from before.
      running.again = running.gone = true;
    }
    if (uuid === undefined || this.get(name)?.uuid === uuid) {
      this._touched.add(name);
      this._sessions.delete(name);
      this._emit();
    }
  }

  private _put(session: ISession, emit = true): void {
    const old = this._sessions.get(session.name);
    const same = old?.uuid === session.uuid;
    this._sessions.set(session.name, session);
    this._touched.add(session.name);
    if (this._isDisposed) {
      return;
    }
    if (!same || old?.state !== session.state) {
      this._transition.emit({ session, oldState: same ? old?.state : undefined });
    }
    if (emit) {
      this._emit();
    }
  }

  private _emit(): void {
    if (!this._isDisposed) {
      this._changed.emit();
    }
  }

  private readonly _stream: IStream;
  private readonly _places: Places;
  private readonly _cursor = new Cursor();
  private readonly _sessions = new Map<string, ISession>();
  private readonly _fetching = new Map<string, IFetch>();
  /** The sessions that changed since the last list was asked for. */
  private _touched = new Set<string>();
  private _templates: readonly ITemplate[] = [];
  private _error = '';
  private _loaded = false;
  private _listing: Promise<void> | null = null;
  private _listAgain = false;
  private _isDisposed = false;
  private _changed = new Signal<this, void>(this);
  private _transition = new Signal<this, ITransition>(this);
}
