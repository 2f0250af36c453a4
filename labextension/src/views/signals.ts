import { ISignal } from '@lumino/signaling';
import { useEffect, useReducer } from 'react';

/** Draw a component again whenever one of the signals emits. The array's length must not change. */
export function useSignals(...signals: ISignal<unknown, unknown>[]): void {
  const [, again] = useReducer((count: number) => count + 1, 0);
  useEffect(() => {
    const slot = () => again();
    signals.forEach(signal => signal.connect(slot));
    return () => signals.forEach(signal => void signal.disconnect(slot));
    // The signals are the dependencies.
  }, signals);
}
