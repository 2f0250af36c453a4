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
  const open: { id: string; path: string; type: string; kernel: { id: string; name: string } }[] =
    [];
  const looks = { count: 0 };
  const notebooks = {
    running: () => open.values(),
    runningChanged: new Signal<object, unknown>(own),
    // As the server lists them: those of a kernel that ended with its session are gone.
    refreshRunning: () => {
      looks.count++;
      open.splice(0, open.length);
      notebooks.runningChanged.emit(undefined);
      return Promise.resolve();
    }
  };
  const openNotebook = (path: string) => {
    open.push({ id: path, path, type: 'notebook', kernel: { id: 'k', name: 'ours' } });
    notebooks.runningChanged.emit(undefined);
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
  return { links, become, onAsk, specs, openNotebook, looks };
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

test('a kernel’s death is looked after once, and the notebooks that lost it are still known', () => {
  const { links, become, openNotebook, looks } = setUp();
  become('idle');
  openNotebook('a.ipynb');
  assert.equal(looks.count, 0);
  become('dead');
  become('dead');
  assert.equal(looks.count, 1);
  assert.deepEqual(links.documents(SESSION), ['a.ipynb']);
  links.forget(SESSION);
  assert.deepEqual(links.documents(SESSION), []);
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
