import { ILogPage } from '../model/session';

const PIECE = 65536;
const KEPT = 262144;

/** The end of a session's log, followed piece by piece; keeps the last 256 Ki characters. */
export class LogTail {
  /** @param read - reads from an offset (negative: from the end) up to a number of bytes */
  constructor(private readonly _read: (offset: number, limit: number) => Promise<ILogPage>) {}

  get text(): string {
    return this._text;
  }

  /** Whether what stands before `text` is not shown: rotated away, or out of bounds here. */
  get cut(): boolean {
    return this._cut;
  }

  /** Whether nothing will follow. */
  get complete(): boolean {
    return this._complete;
  }

  /** Why the last reading failed, or nothing. */
  get error(): string {
    return this._error;
  }

  /** Read what is new, up to the end as it is now; true where anything changed. Never rejects: `error` tells. */
  async follow(): Promise<boolean> {
    const before = this._error;
    try {
      const changed = await this._readOn();
      this._error = '';
      return changed || before !== '';
    } catch (error) {
      this._error = error instanceof Error ? error.message : String(error);
      return this._error !== before;
    }
  }

  private async _readOn(): Promise<boolean> {
    let changed = false;
    for (;;) {
      const page = await this._read(this._next ?? -PIECE, PIECE);
      const moved = page.nextOffset !== this._next;
      this._cut ||= page.truncated || (this._next === undefined && page.offset > 0);
      this._append(page.content);
      this._next = page.nextOffset;
      changed ||= moved || page.complete !== this._complete;
      this._complete = page.complete;
      if (!moved || page.complete || page.content.length === 0) {
        return changed;
      }
    }
  }

  private _append(content: string): void {
    this._text += content;
    if (this._text.length > KEPT) {
      const from = this._text.indexOf('\n', this._text.length - KEPT) + 1;
      this._text = this._text.slice(from || this._text.length - KEPT);
      this._cut = true;
    }
  }

  private _next: number | undefined;
  private _text = '';
  private _cut = false;
  private _complete = false;
  private _error = '';
}
