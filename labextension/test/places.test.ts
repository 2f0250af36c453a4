import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ApiError, IListing, listEverywhere } from '../src/api/rest';
import { ILocation } from '../src/model/session';
import { Places } from '../src/state/places';
import { PARENT, T0 } from './sessions';

const EU = 'projects/acme/locations/eu';

function upstream(reachable: boolean): ILocation {
  return { name: EU, metadata: { provider: 'upstream', status: { reachable } } };
}

function setUp(...locations: ILocation[]) {
  const server = { locations, reads: 0 };
  const places = new Places(async () => {
    server.reads++;
    return server.locations;
  });
  let changes = 0;
  places.changed.connect(() => changes++);
  return { server, places, changes: () => changes };
}

test('a change is told once, and a return asks for a list', async () => {
  const { server, places, changes } = setUp(upstream(false));
  assert.equal(await places.read(), false);
  assert.equal(places.trouble(`${EU}/sessions/abcd`)?.stale, true);
  assert.equal(await places.read(), false);
  assert.equal(changes(), 1);
  server.locations = [upstream(true)];
  assert.equal(await places.read(), true);
  assert.equal(places.trouble(EU), undefined);
  assert.equal(changes(), 2);
});

test('one read at a time', async () => {
  const { server, places } = setUp(upstream(true));
  await Promise.all([places.read(), places.read()]);
  assert.equal(server.reads, 1);
});

test('a failed read is told, keeps what is known, and is tried again', async () => {
  const { server, places } = setUp(upstream(true));
  await places.read();
  server.locations = Promise.reject(new Error('away')) as unknown as ILocation[];
  await assert.rejects(places.read(), /away/);
  assert.equal(places.all.length, 1);
  server.locations = [upstream(true)];
  assert.equal(await places.read(), false);
});

test('read again every ten seconds, and only where another server is', async () => {
  const { places } = setUp(upstream(true));
  assert.equal(places.isDue(Date.now() + 60_000), false);
  await places.read();
  assert.equal(places.isDue(Date.now() + 5_000), false);
  assert.equal(places.isDue(Date.now() + 11_000), true);
  const local = setUp({ name: PARENT, metadata: { provider: 'embedded' } });
  await local.places.read();
  assert.equal(local.places.isDue(Date.now() + 60_000), false);
});

test('a silence that lists found keeps its first moment, until a list is answered', async () => {
  const { places, changes } = setUp(upstream(true));
  await places.read();
  const silent = { name: EU, status: 'UNAVAILABLE', message: '' };
  places.listed([silent], T0);
  places.listed([silent], T0 + 5000);
  assert.equal(places.trouble(EU)?.since, T0);
  assert.equal(changes(), 2);
  assert.equal(await places.read(), true, 'it says that it is there: a list is due');
  places.listed([], T0 + 9000);
  assert.equal(places.trouble(EU), undefined);
});

function listing(name: string): IListing<string> {
  return { rows: [`${name}/row`], unreachable: [] };
}

test('where one location refuses the list of all, the others’ rows come', async () => {
  const refusal = new ApiError('who are you', 401, 'UNAUTHENTICATED', []);
  const asked: (string | undefined)[] = [];
  const list = async (parent?: string) => {
    asked.push(parent);
    if (parent === undefined || parent === EU) {
      throw refusal;
    }
    return listing(parent);
  };
  assert.deepEqual(await listEverywhere(list, async () => [PARENT, EU]), {
    rows: [`${PARENT}/row`],
    unreachable: [{ name: EU, status: 'UNAUTHENTICATED', message: 'who are you' }]
  });
  assert.deepEqual(asked, [undefined, PARENT, EU]);
  await assert.rejects(
    listEverywhere(list, async () => [EU, EU]),
    refusal
  );
});

test('a server that cannot be asked at all is asked once', async () => {
  let asked = 0;
  const list = async (): Promise<IListing<string>> => {
    asked++;
    throw new TypeError('network');
  };
  await assert.rejects(
    listEverywhere(list, async () => [PARENT, EU]),
    /network/
  );
  assert.equal(asked, 1);
  assert.deepEqual(
    await listEverywhere(
      async () => listing('x'),
      async () => []
    ),
    listing('x')
  );
});
