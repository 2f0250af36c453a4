import { FocusEvent, MutableRefObject, useEffect, useRef } from 'react';

/** What has the focus inside a box, or had it when it was taken away. */
export type IHeld = MutableRefObject<Element | null>;

/** The handlers that keep `held` of the box they are given to. */
export function watching(held: IHeld) {
  return {
    onFocus: (event: FocusEvent<HTMLElement>) => {
      held.current = event.target;
    },
    onBlur: (event: FocusEvent<HTMLElement>) => {
      // What is taken away gives the focus to nothing.
      if (event.relatedTarget && !event.currentTarget.contains(event.relatedTarget)) {
        held.current = null;
      }
    }
  };
}

/** Whether what had the focus was taken away, and the focus with it. */
export function isLost(held: IHeld): boolean {
  return (
    held.current !== null && !held.current.isConnected && document.activeElement === document.body
  );
}

/** Keep the focus in a box when the focused part of it is taken away: give what the box takes for that. */
export function useKeptFocus() {
  const box = useRef<HTMLDivElement>(null);
  const held = useRef<Element | null>(null);
  useEffect(() => {
    if (isLost(held)) {
      box.current?.focus();
    }
  });
  return { ref: box, tabIndex: -1, ...watching(held) };
}
