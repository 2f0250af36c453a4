import { Dialog, ReactWidget } from '@jupyterlab/apputils';
import { createElement } from 'react';

import { ApiError, newRequestId } from '../api/rest';
import { longestOf } from '../model/ends';
import { bodyOf, emptyDraft, Faults, faultsOf, firstPlace, IDraft, ownFaults } from '../model/form';
import { kindsOf } from '../model/location';
import { ISession, shortName } from '../model/session';
import { IRuntimeSessions } from '../state/tokens';
import { CreateForm } from './createform';

/** The form in a dialog: what is typed, and the faults shown beside it. */
class FormBody extends ReactWidget {
  constructor(
    private readonly _store: IRuntimeSessions,
    lastPlace: string
  ) {
    super();
    this.addClass('jp-RuntimeSessions-formBody');
    const names = _store.sessions.map(session => shortName(session.name));
    const places = _store.locations.map(location => location.name);
    const usable = places.filter(name => !_store.blocked(name));
    this.draft = emptyDraft(firstPlace(usable, lastPlace), names);
    const [kind] = kindsOf(_store.locationOf(this.draft.parent))[0] ?? [];
    this.draft.kernel = kind ?? this.draft.kernel;
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

  tell(change: { faults?: Faults; busy?: boolean }): void {
    Object.assign(this, change);
    this.update();
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

  private _draw(): void {
    this.update();
  }

  private _change(change: Partial<IDraft>): void {
    // With a template its kernel is the natural choice; without one there is none to take.
    if (change.template !== undefined && change.kernel === undefined) {
      change = { ...change, kernel: change.template ? '' : this.draft.kernel || 'PYTHON' };
    }
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
    const own = ownFaults(draft);
    if (this._form.busy || Object.keys(own).length) {
      this._form.tell({ faults: this._form.busy ? this._form.faults : own });
      return;
    }
    this._form.tell({ faults: {}, busy: true });
    try {
      this._created = await this._sessions.create(
        draft.parent,
        draft.id,
        bodyOf(draft),
        this._requestId
      );
      super.resolve(1);
    } catch (error) {
      this._refused(error, draft);
    }
  }

  private _refused(error: unknown, draft: IDraft): void {
    let faults: Faults = { form: [error instanceof Error ? error.message : String(error)] };
    if (error instanceof ApiError) {
      if (error.violations.length) {
        const place = this._sessions.locationOf(draft.parent);
        faults = faultsOf(error.violations, draft, longestOf(place));
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
    this._form.tell({ faults, busy: false });
    requestAnimationFrame(() => {
      this._form.node.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus();
    });
  }

  private readonly _form: FormBody;
  private readonly _sessions: IRuntimeSessions;
  private _created: ISession | undefined;
  private _requestId = newRequestId();
}
