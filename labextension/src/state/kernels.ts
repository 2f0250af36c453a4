import { Kernel, KernelSpec, Session } from '@jupyterlab/services';
import { IDisposable } from '@lumino/disposable';
import { ISignal, Signal } from '@lumino/signaling';

import { IActivity } from '../model/ends';
import { parseTime } from '../model/time';

type Specs = Pick<KernelSpec.IManager, 'specs' | 'specsChanged' | 'refreshSpecs'>;
type Kernels = Pick<Kernel.IManager, 'running' | 'runningChanged'>;
type Notebooks = Pick<Session.IManager, 'running' | 'runningChanged' | 'refreshRunning'>;

const OFFERS_MILLISECONDS = 20_000;
const ASK_MILLISECONDS = 500;
const MOST_MILLISECONDS = 4000;

/** Which of the page's kernels and notebooks live in which session, from the lists that Lab keeps anyway. */
export class KernelLinks implements IDisposable {
  constructor(
    private readonly _specs: Specs,
    private readonly _kernels: Kernels,
    private readonly _notebooks: Notebooks
  ) {
    this._learn();
    _specs.specsChanged.connect(this._onSpecs, this);
    _kernels.runningChanged.connect(this._onKernels, this);
    _notebooks.runningChanged.connect(this._onNotebooks, this);
    this._onKernels();
    this._onNotebooks();
  }

  /** Emits when kernels, their activity or the offered kernelspecs changed. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  /** The kernelspecs that a session offers now, the default one first. */
  offered(session: string): KernelSpec.ISpecModel[] {
    const models = Object.values(this._specs.specs?.kernelspecs ?? {});
    return models.filter(
      (spec): spec is KernelSpec.ISpecModel => spec !== undefined && sessionOf(spec) === session
    );
  }

  /** Ask the server for the kernelspecs again, so that launcher and picker follow. */
  async refresh(): Promise<void> {
    await this._specs.refreshSpecs();
  }

  /**
   * Ask again, with growing pauses, until a session that has become ACTIVE offers a kernel, which behind another
   * server takes a moment and which no event tells; resolves in any case, after 20 s at the latest. However many wait,
   * there is one question at a time.
   */
  async awaitOffers(session: string): Promise<void> {
    const end = Date.now() + OFFERS_MILLISECONDS;
    let pause = ASK_MILLISECONDS;
    const waits = () => !this._isDisposed && !this.offered(session).length && Date.now() < end;
    while (waits()) {
      this._asking ??= this._ask();
      await this._asking;
      if (waits()) {
        await new Promise(resolve => setTimeout(resolve, pause));
        pause = Math.min(2 * pause, MOST_MILLISECONDS);
      }
    }
  }

  private async _ask(): Promise<void> {
    try {
      await this.refresh();
    } catch {
      // A server that does not answer now may the next time.
    } finally {
      this._asking = null;
    }
  }

  /** What each kernel of a session does, as Lab knows it. */
  activity(session: string): IActivity[] {
    return [...this._kernels.running()]
      .filter(kernel => this._sessions.get(kernel.name) === session)
      .map(kernel => ({
        busy: kernel.execution_state === 'busy',
        lastActivity: parseTime(kernel.last_activity)
      }));
  }

  /** Since when a kernel of a session has been starting, milliseconds since the epoch; NaN where none is. */
  starting(session: string): number {
    const since = [...this._kernels.running()]
      .filter(kernel => this._sessions.get(kernel.name) === session)
      .map(kernel => this._starts.get(kernel.id) ?? NaN);
    return since.filter(Number.isFinite).sort((a, b) => a - b)[0] ?? NaN;
  }

  /** The notebooks (paths) and consoles (names) whose kernel lives, or lived until now, in a session. */
  documents(session: string): string[] {
    const labels = [...this._documents.values()]
      .filter(document => this._sessions.get(document.kernel) === session)
      .map(document => document.label);
    return [...new Set(labels)].sort();
  }

  /** The notebooks and consoles open on one kernel. */
  documentsOf(kernel: string): string[] {
    const documents = [...this._documents.values()].filter(document => document.id === kernel);
    return documents.map(document => document.label).sort();
  }

  /** Forget the notebooks of a session, once its end has been told. */
  forget(session: string): void {
    for (const [id, document] of this._documents) {
      if (this._sessions.get(document.kernel) === session) {
        this._documents.delete(id);
      }
    }
  }

  dispose(): void {
    if (this._isDisposed) {
      return;
    }
    this._isDisposed = true;
    this._specs.specsChanged.disconnect(this._onSpecs, this);
    this._kernels.runningChanged.disconnect(this._onKernels, this);
    this._notebooks.runningChanged.disconnect(this._onNotebooks, this);
    Signal.clearData(this);
  }

  private _onSpecs(): void {
    this._learn();
    this._emit();
  }

  /** A name once learned stays known: the kernelspec goes with its session, its notebooks do not. */
  private _learn(): void {
    for (const spec of Object.values(this._specs.specs?.kernelspecs ?? {})) {
      const session = spec && sessionOf(spec);
      if (spec && session) {
        this._sessions.set(spec.name, session);
      }
    }
  }

  private _onKernels(): void {
    const starts = new Map<string, number>();
    for (const kernel of this._kernels.running()) {
      if (kernel.execution_state === 'starting') {
        starts.set(kernel.id, this._starts.get(kernel.id) ?? Date.now());
      }
    }
    this._starts = starts;
    this._lookAfterDead();
    this._emit();
  }

  /** Have Lab list the notebooks when a kernel of one has died: by itself it looks every 10 s, and cells hang. */
  private _lookAfterDead(): void {
    const dead = [...this._kernels.running()]
      .filter(kernel => kernel.execution_state === 'dead')
      .map(kernel => kernel.id);
    const isNew = dead.some(id => !this._dead.has(id));
    this._dead = new Set(dead);
    if (isNew) {
      this._notebooks
        .refreshRunning()
        .catch(error => console.warn('The notebooks could not be listed', error));
    }
  }

  private _onNotebooks(): void {
    const live = new Set<string>();
    for (const model of this._notebooks.running()) {
      live.add(model.id);
      if (model.kernel) {
        // A console's path is made up; its name is what its tab says.
        const label = model.type === 'notebook' ? model.path : model.name || model.path;
        this._documents.set(model.id, { label, kernel: model.kernel.name, id: model.kernel.id });
      }
    }
    for (const [id, document] of this._documents) {
      // The rows of a session that ended may vanish just before its end is told: those are kept until then.
      if (
        !live.has(id) &&
        !this._dead.has(document.id) &&
        (!this._sessions.has(document.kernel) || this._isOffered(document.kernel))
      ) {
        this._documents.delete(id);
      }
    }
  }

  private _isOffered(spec: string): boolean {
    return this._specs.specs?.kernelspecs[spec] !== undefined;
  }

  private _emit(): void {
    this._changed.emit();
  }

  private _starts: ReadonlyMap<string, number> = new Map();
  private _dead: ReadonlySet<string> = new Set();
  private _asking: Promise<void> | null = null;
  private readonly _sessions = new Map<string, string>();
  private readonly _documents = new Map<string, { label: string; kernel: string; id: string }>();
  private _isDisposed = false;
  private _changed = new Signal<this, void>(this);
}

function sessionOf(spec: KernelSpec.ISpecModel): string | undefined {
  const ours = spec.metadata?.jupyter_sessions;
  if (typeof ours !== 'object' || ours === null || Array.isArray(ours)) {
    return undefined;
  }
  const session: unknown = Reflect.get(ours, 'session');
  return typeof session === 'string' ? session : undefined;
}
