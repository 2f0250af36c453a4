import { Dialog, ReactWidget } from '@jupyterlab/apputils';
import { createElement } from 'react';

import { ApiError, newRequestId } from '../api/rest';
import { bodyOf, emptyDraft, Faults, faultsOf, IDraft, ownFaults } from '../model/form';
import { ISession, shortName } from '../model/session';
import { IRuntimeSessions } from '../state/tokens';
import { CreateForm } from './createform';

const LOCAL = 'projects/local/locations/local';

/** The form in a dialog: what is typed, and the faults shown beside it. */
class FormBody extends ReactWidget {
  constructor(private readonly _store: IRuntimeSessions) {
    super();
    this.addClass('jp-RuntimeSessions-formBody');
    const names = _store.sessions.map(session => shortName(session.name));
    const places = _store.locations.map(location => location.name);
    this.draft = emptyDraft(places.includes(LOCAL) || !places.length ? LOCAL : places[0], names);
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
      onChange: change => this._change(change)
    });
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
  constructor(store: IRuntimeSessions) {
    const body = new FormBody(store);
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
        faults = faultsOf(error.violations, draft);
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
