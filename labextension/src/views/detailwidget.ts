import { MainAreaWidget, ReactWidget } from '@jupyterlab/apputils';
import { createElement } from 'react';

import { shortName, title } from '../model/session';
import { clockOf } from './clock';
import { IViewContext } from './context';
import { Detail } from './detail';
import { sessionsIcon } from './icons';

/** One session's detail. Its clock, and with it the log and the kernels, run only while it is shown. */
class DetailContent extends ReactWidget {
  constructor(
    private readonly _context: Omit<IViewContext, 'clock'>,
    private readonly _name: string
  ) {
    super();
    this.addClass('jp-RuntimeSessions');
    this.addClass('jp-RuntimeSessions-detailBody');
    const { store } = _context;
    store.changed.connect(this._retitle, this);
    this._clock.tick.connect((_, now) => store.look(now));
    this.title.icon = sessionsIcon;
    this._retitle();
  }

  dispose(): void {
    this._context.store.changed.disconnect(this._retitle, this);
    super.dispose();
  }

  protected render(): JSX.Element {
    return createElement(Detail, { ...this._context, clock: this._clock, name: this._name });
  }

  private _retitle(): void {
    const session = this._context.store.get(this._name);
    this.title.label = session ? title(session) : shortName(this._name);
    this.title.caption = this._name;
  }

  private readonly _clock = clockOf(this);
}

/** Make the main area's tab of one session. */
export function makeDetail(
  context: Omit<IViewContext, 'clock'>,
  name: string
): MainAreaWidget<ReactWidget> {
  const widget = new MainAreaWidget<ReactWidget>({ content: new DetailContent(context, name) });
  widget.id = `jupyter-sessions-detail-${name.replace(/\W/g, '-')}`;
  widget.toolbar.hide();
  widget.title.closable = true;
  return widget;
}
