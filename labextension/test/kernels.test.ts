import assert from 'node:assert/strict';
import { mock, test } from 'node:test';

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
    refreshSpecs: () => asked()
  };
  let asked = () => Promise.resolve();
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
  const onAsk = (answer: () => Promise<void>) => (asked = answer);
  return { links, become, onAsk, specs };
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

/** Let what is due run, and go on to the next timer, until a promise is settled. */
async function run(clock: typeof mock.timers, until: Promise<void>): Promise<void> {
  let done = false;
  void until.finally(() => (done = true));
  for (let step = 0; step < 1000 && !done; step++) {
    await new Promise(resolve => setImmediate(resolve));
    clock.tick(100);
  }
  await until;
}

test('a kernel to come is asked for with growing pauses, also by many and past a failure', async () => {
  const { links, onAsk, specs } = setUp();
  const { kernelspecs } = specs.specs;
  Object.assign(specs.specs, { kernelspecs: {} });
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  try {
    let asked = 0;
    onAsk(() => {
      asked++;
      return Promise.reject(new Error('away'));
    });
    await run(mock.timers, Promise.all([SESSION, 'b', 'c'].map(s => links.awaitOffers(s))).then());
    assert.ok(asked >= 5 && asked <= 9, `asked ${asked} times`);
    const before = Date.now();
    onAsk(() => {
      Object.assign(specs.specs, { kernelspecs });
      return Promise.resolve();
    });
    await links.awaitOffers(SESSION);
    assert.equal(Date.now(), before);
  } finally {
    mock.timers.reset();
  }
});
