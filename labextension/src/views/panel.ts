import {
  addIcon,
  ellipsesIcon,
  LabIcon,
  ReactWidget,
  refreshIcon,
  Toolbar,
  ToolbarButton
} from '@jupyterlab/ui-components';
import { ISignal, Signal } from '@lumino/signaling';
import { Menu, Panel } from '@lumino/widgets';
import { createElement } from 'react';

import { CommandIDs } from '../model/commands';
import { clockOf } from './clock';
import { IViewContext } from './context';
import { sessionsIcon } from './icons';
import { SessionList } from './sessionlist';

/** The side panel: a header with its buttons, and the list. Its clock runs only while it is shown. */
export class SessionsPanel extends Panel {
  constructor(context: Omit<IViewContext, 'clock'>) {
    super();
    const { commands, store } = context;
    this.id = 'jupyter-sessions';
    this.addClass('jp-RuntimeSessions');
    this.title.icon = sessionsIcon;
    this.title.caption = 'Sessions';
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', 'Sessions');
    this._menu = menuOf(commands);
    const clock = clockOf(this);
    clock.tick.connect((_, now) => store.look(now));
    const list = ReactWidget.create(
      createElement(SessionList, { ...context, clock, revealed: this._revealed })
    );
    list.addClass('jp-RuntimeSessions-list');
    this.addWidget(this._toolbar(commands));
    this.addWidget(list);
  }

  /** Bring a session's row into view and give it the focus. */
  reveal(name: string): void {
    this._revealed.wanted = name;
    this._asked.emit(name);
  }

  dispose(): void {
    this._menu.dispose();
    // Tells that it is disposed, which stops its clock, and clears its signals itself.
    super.dispose();
  }

  private _toolbar(commands: IViewContext['commands']): Toolbar {
    const toolbar = new Toolbar();
    toolbar.node.setAttribute('aria-label', 'Sessions');
    const header = ReactWidget.create(createElement('h2', null, 'Sessions'));
    header.addClass('jp-RuntimeSessions-header');
    const button = (icon: LabIcon, tooltip: string, onClick: () => void) =>
      new ToolbarButton({ icon, tooltip, onClick });
    const command = (icon: LabIcon, tooltip: string, id: string) =>
      button(icon, tooltip, () => void commands.execute(id));
    const more = button(ellipsesIcon, 'More', () => {
      const { left, bottom } = more.node.getBoundingClientRect();
      this._menu.open(left, bottom);
    });
    toolbar.addItem('title', header);
    toolbar.addItem('spacer', Toolbar.createSpacerItem());
    toolbar.addItem('new', command(addIcon, 'New session', CommandIDs.create));
    toolbar.addItem('refresh', command(refreshIcon, 'List again', CommandIDs.refresh));
    toolbar.addItem('more', more);
    return toolbar;
  }

  private readonly _menu: Menu;
  private readonly _asked = new Signal<this, string>(this);
  private readonly _revealed: IRevealed = { asked: this._asked, wanted: '' };
}

/** The session whose row is to have the focus. */
export interface IRevealed {
  /** Emits its name. */
  asked: ISignal<unknown, string>;
  /** Its name until it has the focus, also for a list that is drawn only later; else empty. */
  wanted: string;
}

function menuOf(commands: IViewContext['commands']): Menu {
  const menu = new Menu({ commands });
  menu.addItem({ command: CommandIDs.create });
  menu.addItem({ command: CommandIDs.refresh });
  menu.addItem({ type: 'separator' });
  menu.addItem({ command: CommandIDs.connect });
  return menu;
}
