import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Signal } from '@lumino/signaling';

import { ApiError } from '../src/api/rest';
import type { IListing, ISilent, SessionsRest } from '../src/api/rest';
import type { Link } from '../src/api/stream';
import { ILocation, ISession, ITemplate } from '../src/model/session';
import { IChange, IReset } from '../src/model/watch';
import { IStream, SessionStore } from '../src/state/store';
import { ITransition } from '../src/state/tokens';
import { PARENT, session } from './sessions';

/** A stream that says what the test says. */
class FakeStream {
  message = new Signal<unknown, IChange | IReset>(this);
  linkChanged = new Signal<unknown, Link>(this);
  link: Link = 'connecting';
  retryAt = 0;
  opened = 0;
  disposed = false;

  open(): void {
    this.opened++;
  }

  dispose(): void {
    this.disposed = true;
  }

  become(link: Link): void {
    this.link = link;
    this.linkChanged.emit(link);
  }
}

/** A service that holds sessions and counts what it is asked. */
class FakeRest {
  sessions = new Map<string, ISession>();
  lists = 0;
  gets: string[] = [];
  gate: Promise<void> = Promise.resolve();

  put(row: ISession): void {
    this.sessions.set(row.name, row);
  }

  unreachable: ISilent[] = [];
  places: ILocation[] = [{ name: PARENT }];
  placeReads = 0;

  async listSessions(): Promise<IListing<ISession>> {
    this.lists++;
    return { rows: [...this.sessions.values()], unreachable: this.unreachable };
  }

  async listTemplates(): Promise<IListing<ITemplate>> {
    return { rows: [], unreachable: [] };
  }

  async listLocations(): Promise<ILocation[]> {
    this.placeReads++;
    return this.places;
  }

  async getSession(name: string): Promise<ISession> {
    this.gets.push(name);
    const row = this.sessions.get(name);
    await this.gate;
    assert.ok(row);
    return row;
  }
}

function setUp() {
  const stream = new FakeStream();
  const rest = new FakeRest();
  let query: () => string = () => '';
  const store = new SessionStore(rest as unknown as SessionsRest, ask => {
    query = ask;
    return stream as unknown as IStream;
  });
  const transitions: ITransition[] = [];
  store.transition.connect((_, change) => transitions.push(change));
  return { stream, rest, store, transitions, query: () => query() };
}

function change(row: ISession, sequence: number, newState = row.state): IChange {
  const { name, uuid } = row;
  return {
    location: PARENT,
    sequence,
    session: name,
    sessionUuid: uuid,
    oldState: row.state,
    newState,
    time: ''
  };
}

const settle = () => new Promise<void>(resolve => setImmediate(resolve));

test('listed once when the stream opens, then followed', async () => {
  const { stream, rest, store, transitions } = setUp();
  assert.equal(stream.opened, 1);
  rest.put(session('a', 'CREATING'));
  stream.become('connected');
  await settle();
  assert.equal(store.sessions.length, 1);
  rest.put(session('a', 'ACTIVE'));
  stream.message.emit(change(session('a', 'ACTIVE'), 7));
  await settle();
  assert.equal(store.get(session('a').name)?.state, 'ACTIVE');
  assert.deepEqual(
    transitions.map(t => [t.oldState, t.session.state]),
    [
      [undefined, 'CREATING'],
      ['CREATING', 'ACTIVE']
    ]
  );
  assert.equal(rest.lists, 1);
});

test('a stream that resumes everywhere needs no second list', async () => {
  const { stream, rest, query } = setUp();
  rest.put(session('a'));
  stream.become('connected');
  await settle();
  stream.message.emit(change(session('a'), 7));
  await settle();
  stream.become('lost');
  await settle();
  const before = rest.lists;
  assert.equal(query(), `after=${encodeURIComponent(`${PARENT},7`)}`);
  stream.become('connected');
  await settle();
  assert.equal(rest.lists, before);
});

test('without a known sequence, and after a reset, it lists again', async () => {
  const { stream, rest, query } = setUp();
  stream.become('connected');
  await settle();
  stream.become('connected');
  await settle();
  assert.equal(rest.lists, 2);
  stream.message.emit({ reset: true, sequence: 40, location: PARENT });
  await settle();
  assert.equal(rest.lists, 3);
  assert.match(query(), /40$/);
});

test('a change during a get makes one more get, not one each', async () => {
  const { stream, rest, store } = setUp();
  let open: () => void = () => undefined;
  rest.gate = new Promise(resolve => (open = resolve));
  rest.put(session('a', 'CREATING'));
  stream.message.emit(change(session('a', 'CREATING'), 1));
  rest.put(session('a', 'ACTIVE'));
  stream.message.emit(change(session('a', 'ACTIVE'), 2));
  stream.message.emit(change(session('a', 'ACTIVE'), 3));
  open();
  await settle();
  assert.equal(rest.gets.length, 2);
  assert.equal(store.get(session('a').name)?.state, 'ACTIVE');
});

test('a deleted session goes, one made anew under its name stays', async () => {
  const { stream, rest, store } = setUp();
  const anew = session('a', 'ACTIVE', { uuid: 'another' });
  rest.put(anew);
  stream.become('connected');
  await settle();
  stream.message.emit(change(session('a'), 1, 'STATE_UNSPECIFIED'));
  assert.equal(store.sessions.length, 1);
  stream.message.emit(change(anew, 2, 'STATE_UNSPECIFIED'));
  assert.equal(store.sessions.length, 0);
  assert.equal(rest.gets.length, 0);
});

test('a failed list is told and keeps the rows', async () => {
  const { stream, rest, store } = setUp();
  rest.put(session('a'));
  stream.become('connected');
  await settle();
  rest.listSessions = () => Promise.reject(new Error('the server is away'));
  await store.refresh();
  assert.equal(store.error, 'the server is away');
  assert.equal(store.sessions.length, 1);
});

test('disposing ends the stream and every emission', async () => {
  const { stream, rest, store, transitions } = setUp();
  rest.put(session('a'));
  stream.become('connected');
  store.dispose();
  await settle();
  assert.equal(stream.disposed, true);
  assert.equal(transitions.length, 0);
  assert.equal(store.isDisposed, true);
});

test('a list that failed while the stream was down is made again when it is up', async () => {
  const { stream, rest, store } = setUp();
  rest.put(session('a'));
  stream.become('connected');
  await settle();
  stream.message.emit(change(session('a'), 7));
  await settle();
  const works = rest.listSessions;
  rest.listSessions = () => Promise.reject(new Error('the server is away'));
  stream.become('lost');
  await settle();
  assert.equal(store.error, 'the server is away');
  rest.listSessions = works;
  stream.become('connected');
  await settle();
  assert.equal(store.error, '');
});

const EU = 'projects/acme/locations/eu';

function remote(id: string): ISession {
  return session(id, 'ACTIVE', { name: `${EU}/sessions/${id}` });
}

test('a location that does not answer keeps its rows, marked, and nothing is done with them', async () => {
  const { stream, rest, store } = setUp();
  rest.places = [{ name: PARENT }, { name: EU, displayName: 'EU' }];
  rest.put(session('near'));
  rest.put(remote('far'));
  stream.become('connected');
  await settle();
  rest.sessions.delete(remote('far').name);
  rest.unreachable = [{ name: EU, status: 'UNAVAILABLE', message: '' }];
  await store.refresh();
  assert.equal(store.sessions.length, 2);
  assert.equal(store.trouble(remote('far').name)?.stale, true);
  assert.match(store.blocked(remote('far').name), /^EU is unreachable since/);
  assert.equal(store.blocked(session('near').name), '');
  rest.unreachable = [];
  await store.refresh();
  assert.equal(store.sessions.length, 1);
  assert.equal(store.blocked(EU), '');
});

test('a location that comes back is listed again, by a look while it is shown', async () => {
  const { stream, rest, store } = setUp();
  const eu = (reachable: boolean) => ({
    name: EU,
    metadata: { provider: 'upstream', status: { reachable } }
  });
  rest.places = [eu(false)];
  stream.become('connected');
  await settle();
  const { lists, placeReads } = rest;
  store.look(Date.now() + 1000);
  await settle();
  assert.equal(rest.placeReads, placeReads);
  rest.places = [eu(true)];
  rest.put(remote('far'));
  store.look(Date.now() + 11000);
  await settle();
  assert.equal(rest.lists, lists + 1);
  assert.equal(store.sessions.length, 1);
});

test('an act that fails has the locations read, and what a location cannot do is said', async () => {
  const { stream, rest, store } = setUp();
  rest.places = [{ name: EU, displayName: 'EU', metadata: { upstream: 'google' } }];
  stream.become('connected');
  await settle();
  const { placeReads } = rest;
  const refusal = Promise.reject(new Error('no'));
  Object.assign(rest, { terminate: () => refusal });
  await assert.rejects(store.terminate(remote('far').name), /no/);
  assert.equal(rest.placeReads, placeReads + 1);
  assert.match(store.blocked(remote('far').name, 'update'), /EU cannot change/);
  assert.match(store.blocked(remote('far').name, 'logs'), /EU offers no log/);
  assert.equal(store.blocked(remote('far').name), '');
});

/** A promise and what resolves it. */
function gated(): { gate: Promise<void>; open: () => void } {
  let open: () => void = () => undefined;
  const gate = new Promise<void>(resolve => (open = resolve));
  return { gate, open };
}

test('a session made while a list is under way is not lost by it', async () => {
  const { stream, rest, store } = setUp();
  const { gate, open } = gated();
  const list = rest.listSessions.bind(rest);
  rest.listSessions = async () => {
    const answer = await list();
    await gate;
    return answer;
  };
  stream.become('connected');
  await settle();
  rest.put(session('new', 'CREATING'));
  stream.message.emit(change(session('new', 'CREATING'), 1));
  await settle();
  open();
  await settle();
  assert.equal(store.get(session('new').name)?.state, 'CREATING');
});

test('a list that is older than a change takes nothing back', async () => {
  const { stream, rest, store, transitions } = setUp();
  rest.put(session('a', 'CREATING'));
  rest.put(session('b'));
  stream.become('connected');
  await settle();
  const { gate, open } = gated();
  const old = await rest.listSessions();
  rest.listSessions = async () => {
    await gate;
    return old;
  };
  const listing = store.refresh();
  rest.put(session('a', 'ACTIVE'));
  stream.message.emit(change(session('a', 'ACTIVE'), 1));
  rest.sessions.delete(session('b').name);
  stream.message.emit(change(session('b'), 2, 'STATE_UNSPECIFIED'));
  await settle();
  open();
  await listing;
  assert.deepEqual(
    store.sessions.map(({ name, state }) => [name, state]),
    [[session('a').name, 'ACTIVE']]
  );
  assert.equal(transitions.at(-1)?.session.state, 'ACTIVE');
});

test('a session deleted while it is got does not come back', async () => {
  const { stream, rest, store } = setUp();
  rest.put(session('a'));
  stream.become('connected');
  await settle();
  const { gate, open } = gated();
  rest.gate = gate;
  stream.message.emit(change(session('a', 'TERMINATED'), 1));
  stream.message.emit(change(session('a'), 2, 'STATE_UNSPECIFIED'));
  rest.getSession = () => Promise.reject(new ApiError('none', 404, 'NOT_FOUND', []));
  open();
  await settle();
  assert.equal(store.sessions.length, 0);
});

test('limits that were set while the session is got are not taken back', async () => {
  const { stream, rest, store } = setUp();
  rest.put(session('a'));
  stream.become('connected');
  await settle();
  const { gate, open } = gated();
  rest.gate = gate;
  stream.message.emit(change(session('a'), 1));
  const longer = session('a', 'ACTIVE', {
    environmentConfig: { executionConfig: { ttl: '9000s' } }
  });
  Object.assign(rest, { update: () => Promise.resolve(longer) });
  rest.put(longer);
  await store.setLimits(longer.name, { ttl: '9000s' });
  open();
  await settle();
  assert.deepEqual(store.get(longer.name), longer);
});

test('an operation that ends in an error at once is a failure, and the row stays', async () => {
  const { stream, rest, store } = setUp();
  rest.put(session('a'));
  stream.become('connected');
  await settle();
  const failed = { name: 'o', done: true, error: { code: 9, message: 'it is in use' } };
  Object.assign(rest, { remove: () => Promise.resolve(failed) });
  await assert.rejects(store.remove(session('a').name), /it is in use/);
  assert.equal(store.sessions.length, 1);
});
