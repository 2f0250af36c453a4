import {
  addIcon,
  ReactWidget,
  refreshIcon,
  Toolbar,
  ToolbarButton
} from '@jupyterlab/ui-components';
import { Message } from '@lumino/messaging';
import { Panel } from '@lumino/widgets';
import { createElement } from 'react';

import { CommandIDs } from '../model/commands';
import { Clock } from './clock';
import { IViewContext } from './context';
import { sessionsIcon } from './icons';
import { SessionList } from './sessionlist';

/** The side panel: a header with its buttons, and the list. Its clock runs only while it is shown. */
export class SessionsPanel extends Panel {
  constructor(context: Omit<IViewContext, 'clock'>) {
    super();
    const { commands } = context;
    this.id = 'jupyter-sessions';
    this.addClass('jp-RuntimeSessions');
    this.title.icon = sessionsIcon;
    this.title.caption = 'Sessions';
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', 'Sessions');
    const toolbar = new Toolbar();
    toolbar.node.setAttribute('aria-label', 'Sessions');
    const header = ReactWidget.create(createElement('h2', null, 'Sessions'));
    header.addClass('jp-RuntimeSessions-header');
    toolbar.addItem('title', header);
    toolbar.addItem('spacer', Toolbar.createSpacerItem());
    toolbar.addItem('new', button(addIcon, 'New session', commands, CommandIDs.create));
    toolbar.addItem('refresh', button(refreshIcon, 'List again', commands, CommandIDs.refresh));
    const list = ReactWidget.create(createElement(SessionList, { ...context, clock: this._clock }));
    list.addClass('jp-RuntimeSessions-list');
    this.addWidget(toolbar);
    this.addWidget(list);
  }

  dispose(): void {
    this._clock.dispose();
    super.dispose();
  }

  protected onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this._clock.start();
  }

  protected onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    if (this.isVisible) {
      this._clock.start();
    }
  }

  protected onBeforeHide(message: Message): void {
    this._clock.stop();
    super.onBeforeHide(message);
  }

  protected onBeforeDetach(message: Message): void {
    this._clock.stop();
    super.onBeforeDetach(message);
  }

  private readonly _clock = new Clock();
}

function button(
  icon: typeof addIcon,
  tooltip: string,
  commands: IViewContext['commands'],
  id: string
): ToolbarButton {
  return new ToolbarButton({ icon, tooltip, onClick: () => void commands.execute(id) });
}
