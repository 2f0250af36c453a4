import { ServerConnection } from '@jupyterlab/services';
import { IDisposable } from '@lumino/disposable';
import { ISignal, Signal } from '@lumino/signaling';

import { backoff, IChange, IReset } from '../model/watch';
import { EVERYWHERE, serviceUrl } from './rest';

/** How long a link must have stood before the next attempts are quick again, in milliseconds. */
const STEADY = 10_000;

export type Link = 'connecting' | 'connected' | 'lost';

/** The watch stream over all locations: one websocket, opened again with growing pauses when it falls. */
export class WatchStream implements IDisposable {
  /**
   * @param settings - the server
   * @param query - gives the query that resumes the stream where its reader stands
   */
  constructor(
    private readonly _settings: ServerConnection.ISettings,
    private readonly _query: () => string
  ) {}

  /** Emits each message as it comes. */
  get message(): ISignal<this, IChange | IReset> {
    return this._message;
  }

  get linkChanged(): ISignal<this, Link> {
    return this._linkChanged;
  }

  get link(): Link {
    return this._link;
  }

  /** When the next attempt to connect is made, milliseconds since the epoch; 0 while none is planned. */
  get retryAt(): number {
    return this._retryAt;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  /** Connect now, also when a later attempt is planned. Does nothing while connected or connecting. */
  open(): void {
    if (this._isDisposed || this._socket) {
      return;
    }
    clearTimeout(this._timer);
    this._retryAt = 0;
    const socket = new this._settings.WebSocket(this._url());
    this._socket = socket;
    socket.onopen = () => {
      this._openedAt = Date.now();
      this._setLink('connected');
    };
    socket.onmessage = (event: MessageEvent) => {
      this._message.emit(JSON.parse(String(event.data)) as IChange | IReset);
    };
    socket.onclose = () => this._closed();
  }

  dispose(): void {
    if (this._isDisposed) {
      return;
    }
    this._isDisposed = true;
    clearTimeout(this._timer);
    const socket = this._socket;
    this._socket = null;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
    Signal.clearData(this);
  }

  private _closed(): void {
    this._socket = null;
    // A server that accepts and closes at once is not asked every second.
    if (this._openedAt && Date.now() - this._openedAt >= STEADY) {
      this._attempt = 0;
    }
    this._openedAt = 0;
    const pause = backoff(this._attempt++);
    this._retryAt = Date.now() + pause;
    this._timer = setTimeout(() => this.open(), pause);
    this._setLink('lost');
  }

  private _url(): string {
    const { wsUrl, token, appendToken } = this._settings;
    const url = serviceUrl({ ...this._settings, baseUrl: wsUrl }, `${EVERYWHERE}/sessions:watch`);
    const parts = [this._query(), appendToken && token ? `token=${encodeURIComponent(token)}` : ''];
    const query = parts.filter(part => part).join('&');
    return query ? `${url}?${query}` : url;
  }

  private _setLink(link: Link): void {
    this._link = link;
    this._linkChanged.emit(link);
  }

  private _socket: WebSocket | null = null;
  private _timer: ReturnType<typeof setTimeout> | undefined;
  private _attempt = 0;
  private _openedAt = 0;
  private _retryAt = 0;
  private _link: Link = 'connecting';
  private _isDisposed = false;
  private _message = new Signal<this, IChange | IReset>(this);
  private _linkChanged = new Signal<this, Link>(this);
}
