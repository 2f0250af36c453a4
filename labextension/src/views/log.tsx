import React, { useEffect, useRef, useState } from 'react';

import { ISession } from '../model/session';
import { LogTail } from '../state/log';
import { IViewContext } from './context';

const PERIOD = 2000;

interface IShown {
  text: string;
  cut: boolean;
  error: string;
}

/** Follow the tail of a session's log while it is shown, unless its location cannot be asked. */
function useTail(props: IViewContext & { session: ISession }, blocked: string): IShown {
  const { session, store, clock } = props;
  const [shown, setShown] = useState<IShown>({ text: '', cut: false, error: '' });
  useEffect(() => {
    const tail = new LogTail((offset, limit) => store.readLog(session.name, offset, limit));
    let busy = false;
    let last = 0;
    let gone = false;
    const follow = async () => {
      if (blocked || busy || tail.complete || Date.now() - last < PERIOD) {
        return;
      }
      busy = true;
      last = Date.now();
      if ((await tail.follow()) && !gone) {
        setShown({ text: tail.text, cut: tail.cut, error: tail.error });
      }
      busy = false;
    };
    const slot = () => void follow();
    slot();
    clock.tick.connect(slot);
    return () => {
      gone = true;
      clock.tick.disconnect(slot);
    };
  }, [store, clock, session.uuid, blocked !== '']);
  return shown;
}

/** The tail of a session's log. */
export function Log(props: IViewContext & { session: ISession }): JSX.Element {
  const blocked = props.store.blocked(props.session.name, 'logs');
  const shown = useTail(props, blocked);
  const box = useRef<HTMLPreElement>(null);
  const atEnd = useRef(true);
  useEffect(() => {
    if (atEnd.current && box.current) {
      box.current.scrollTop = box.current.scrollHeight;
    }
  }, [shown.text]);
  const onScroll = () => {
    const { scrollTop, scrollHeight, clientHeight } = box.current ?? document.body;
    atEnd.current = scrollHeight - scrollTop - clientHeight < 8;
  };
  return (
    <section aria-label="Log">
      <h3>Log</h3>
      {blocked && <p className="jp-RuntimeSessions-note">{blocked}</p>}
      {shown.error && !blocked && (
        <p className="jp-RuntimeSessions-faults">The log could not be read: {shown.error}</p>
      )}
      {shown.cut && <p className="jp-RuntimeSessions-note">Earlier lines are not shown.</p>}
      {(shown.text || !blocked) && (
        <pre
          className="jp-RuntimeSessions-log"
          ref={box}
          onScroll={onScroll}
          tabIndex={0}
          aria-label="Log"
        >
          {shown.text || 'Nothing was written yet.'}
        </pre>
      )}
    </section>
  );
}
