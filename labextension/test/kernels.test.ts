import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Signal } from '@lumino/signaling';

import { KernelLinks } from '../src/state/kernels';
import { PARENT } from './sessions';

const SESSION = `${PARENT}/sessions/abcd`;

function setUp() {
  const running: { id: string; name: string; execution_state: string }[] = [];
  const own = {};
  const kernels = {
    running: () => running.values(),
    runningChanged: new Signal<object, unknown>(own)
  };
  const specs = {
    specs: {
      kernelspecs: { ours: { name: 'ours', metadata: { jupyter_sessions: { session: SESSION } } } }
    },
    specsChanged: new Signal<object, unknown>(own),
    refreshSpecs: () => Promise.resolve()
  };
  const notebooks = {
    running: () => [].values(),
    runningChanged: new Signal<object, unknown>(own)
  };
  const links = new KernelLinks(
    specs as unknown as ConstructorParameters<typeof KernelLinks>[0],
    kernels as unknown as ConstructorParameters<typeof KernelLinks>[1],
    notebooks as unknown as ConstructorParameters<typeof KernelLinks>[2]
  );
  const become = (execution_state: string, name = 'ours') => {
    running.splice(0, running.length, { id: 'k', name, execution_state });
    kernels.runningChanged.emit(undefined);
  };
  return { links, become };
}

test('a kernel’s start is timed from when it was first seen, until it is there', async () => {
  const { links, become } = setUp();
  assert.ok(Number.isNaN(links.starting(SESSION)));
  const before = Date.now();
  become('starting');
  const since = links.starting(SESSION);
  assert.ok(since >= before);
  await new Promise(resolve => setTimeout(resolve, 5));
  become('starting');
  assert.equal(links.starting(SESSION), since);
  become('idle');
  assert.ok(Number.isNaN(links.starting(SESSION)));
});

test('a kernel of no session starts for none', () => {
  const { links, become } = setUp();
  become('starting', 'python3');
  assert.ok(Number.isNaN(links.starting(SESSION)));
});
