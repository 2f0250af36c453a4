import { Dialog, ReactWidget } from '@jupyterlab/apputils';
import { createElement } from 'react';

import { ApiError, newRequestId } from '../api/rest';
import { EndCause, longestOf } from '../model/ends';
import {
  bodyOf,
  emptyDraft,
  Faults,
  faultsOf,
  firstPlace,
  IDraft,
  limitFaults,
  moved,
  ownFaults,
  remaining,
  templated
} from '../model/form';
import { kindsOf } from '../model/location';
import { ISession, shortName } from '../model/session';
import { IRuntimeSessions } from '../state/tokens';
import { CreateForm } from './createform';

/** The form in a dialog: what is typed, and the faults shown beside it. */
class FormBody extends ReactWidget {
  constructor(
    private readonly _store: IRuntimeSessions,
    private readonly _lastPlace: string
  ) {
    super();
    this.addClass('jp-RuntimeSessions-formBody');
    const names = _store.sessions.map(session => shortName(session.name));
    this.draft = emptyDraft(this._firstPlace(), names);
    this.draft.kernel = this._kinds(this.draft.parent)[0] ?? this.draft.kernel;
    // A location may come or go while the form is filled.
    _store.changed.connect(this._draw, this);
  }

  dispose(): void {
    this._store.changed.disconnect(this._draw, this);
    super.dispose();
  }

  draft: IDraft;
  faults: Faults = {};
  busy = false;

  /** The longest limits of the chosen location, in seconds. */
  get longest(): Record<EndCause, number> {
    return longestOf(this._store.locationOf(this.draft.parent));
  }

  tell(change: { faults?: Faults; busy?: boolean }): void {
    if (this.isDisposed) {
      return;
    }
    Object.assign(this, change);
    this.update();
    if (Object.keys(change.faults ?? {}).length) {
      requestAnimationFrame(() => this._showFault());
    }
  }

  protected render(): JSX.Element {
    return createElement(CreateForm, {
      draft: this.draft,
      faults: this.faults,
      busy: this.busy,
      templates: this._store.templates,
      locations: this._store.locations,
      blocked: name => this._store.blocked(name),
      onChange: change => this._change(change)
    });
  }

  /** Bring the first fault into view: its field gets the focus, if it is of one. */
  private _showFault(): void {
    const field = this.node.querySelector<HTMLElement>('[aria-invalid="true"]');
    field?.focus();
    (field ?? this.node.querySelector('.jp-RuntimeSessions-faults'))?.scrollIntoView({
      block: 'nearest'
    });
  }

  private _firstPlace(): string {
    const names = this._store.locations.map(({ name }) => name);
    const usable = names.filter(name => !this._store.blocked(name));
    return firstPlace(usable.length ? usable : names, this._lastPlace);
  }

  private _kinds(place: string): string[] {
    return kindsOf(this._store.locationOf(place)).map(([kind]) => kind);
  }

  private _draw(): void {
    const places = this._store.locations.map(({ name }) => name);
    if (places.length && !places.includes(this.draft.parent)) {
      const place = this._firstPlace();
      this.draft = { ...this.draft, ...moved(this.draft, place, this._kinds(place)) };
    }
    this.update();
  }

  private _change(change: Partial<IDraft>): void {
    if (change.template !== undefined && change.kernel === undefined) {
      change = templated(this.draft, change.template, this._kinds(this.draft.parent));
    }
    this.faults = remaining(this.faults, this.draft, change);
    this.draft = { ...this.draft, ...change };
    // At once, or the next key would be typed into the old text.
    this.update();
  }
}

/** The create dialog: stays open while the service refuses, closes when it accepts. */
export class CreateDialog extends Dialog<void> {
  /**
   * @param lastPlace - the location that the last session was made in, or empty
   */
  constructor(store: IRuntimeSessions, lastPlace = '') {
    const body = new FormBody(store, lastPlace);
    super({
      title: 'New session',
      body,
      buttons: [Dialog.cancelButton(), Dialog.okButton({ label: 'Create' })],
      focusNodeSelector: 'input[name="id"]'
    });
    this.addClass('jp-RuntimeSessions-createDialog');
    this._form = body;
    this._sessions = store;
  }

  /** The session that was accepted. */
  get created(): ISession | undefined {
    return this._created;
  }

  /** The location that it was made in. */
  get place(): string {
    return this._form.draft.parent;
  }

  /** Enter and the Create button come here; Enter on a button of the form presses that button. */
  resolve(index?: number): void {
    const focused = document.activeElement;
    if (
      index === undefined &&
      focused instanceof HTMLButtonElement &&
      this._form.node.contains(focused)
    ) {
      focused.click();
      return;
    }
    if (index === 0) {
      super.resolve(index);
      return;
    }
    void this._submit();
  }

  private async _submit(): Promise<void> {
    const { draft } = this._form;
    if (this._form.busy) {
      return;
    }
    const limits = limitFaults(draft, this._form.longest);
    const own = ownFaults(draft);
    if (Object.keys(own).length) {
      this._form.tell({ faults: { ...limits, ...own } });
      return;
    }
    this._form.tell({ faults: limits, busy: true });
    try {
      this._created = await this._sessions.create(
        draft.parent,
        draft.id,
        bodyOf(draft),
        this._requestId
      );
      super.resolve(1);
    } catch (error) {
      this._refused(error, draft, limits);
    }
  }

  private _refused(error: unknown, draft: IDraft, known: Faults): void {
    let faults: Faults = { form: [error instanceof Error ? error.message : String(error)] };
    if (error instanceof ApiError) {
      if (error.violations.length) {
        faults = faultsOf(error.violations, draft, this._form.longest);
      } else if (error.status === 'ALREADY_EXISTS') {
        faults = { id: [error.message] };
      } else if (error.status === 'NOT_FOUND' && draft.template) {
        faults = { template: [error.message] };
      }
      if (error.code < 500) {
        // A refusal is final. Anything else may have been carried out: its retry keeps the id.
        this._requestId = newRequestId();
      }
    }
    this._form.tell({ faults: { ...known, ...faults }, busy: false });
  }

  private readonly _form: FormBody;
  private readonly _sessions: IRuntimeSessions;
  private _created: ISession | undefined;
  private _requestId = newRequestId();
}
