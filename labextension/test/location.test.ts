import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  configurationTrouble,
  kindsOf,
  lacks,
  limitOf,
  locationOf,
  placeTitle,
  propertiesOf,
  troubleOf
} from '../src/model/location';
import { ILocation } from '../src/model/session';
import { T0 } from './sessions';

const NAME = 'projects/acme/locations/eu';

function place(metadata: Record<string, unknown>, displayName = 'Spark EU'): ILocation {
  return { name: NAME, locationId: 'eu', displayName, metadata };
}

test('a location is found by itself, a session or a template', () => {
  const locations = [place({})];
  for (const name of [NAME, `${NAME}/sessions/abcd`, `${NAME}/sessionTemplates/small`]) {
    assert.equal(locationOf(locations, name), locations[0]);
  }
  assert.equal(locationOf(locations, 'projects/acme/locations/eu2/sessions/abcd'), undefined);
});

test('a name that nobody gave says the project too', () => {
  assert.equal(placeTitle(place({}), NAME), 'Spark EU');
  assert.equal(placeTitle(place({}, 'eu'), NAME), 'eu (acme)');
  assert.equal(placeTitle(undefined, `${NAME}/sessions/abcd`), 'eu (acme)');
});

test('no trouble where the location answers, or says nothing', () => {
  assert.equal(troubleOf(undefined), undefined);
  assert.equal(troubleOf(place({})), undefined);
  assert.equal(
    troubleOf(place({ status: { reachable: true, status: '', remedy: [] } })),
    undefined
  );
});

test('what a location says is wrong with it', () => {
  const status = {
    reachable: false,
    since: new Date(T0).toISOString(),
    status: 'UNAUTHENTICATED',
    message: 'the token has expired',
    remedy: ['Run `gcloud auth login`.', 7]
  };
  assert.deepEqual(troubleOf(place({ status })), {
    status: 'UNAUTHENTICATED',
    since: T0,
    message: 'the token has expired',
    remedy: ['Run `gcloud auth login`.'],
    stale: true
  });
  const told = troubleOf(place({ status: { reachable: true, status: 'PERMISSION_DENIED' } }));
  assert.deepEqual([told?.status, told?.stale], ['PERMISSION_DENIED', false]);
});

test('what lists found counts where the location itself sees nothing wrong', () => {
  const silence = { since: T0, status: 'NOT_FOUND', message: 'no such location' };
  const trouble = troubleOf(place({ status: { reachable: true } }), silence);
  assert.deepEqual(
    [trouble?.status, trouble?.since, trouble?.message, trouble?.stale],
    ['NOT_FOUND', T0, 'no such location', true]
  );
});

test('a fault of this machine is told, and nothing is stale', () => {
  const trouble = troubleOf(place({ fault: 'the store cannot be used' }));
  assert.deepEqual([trouble?.message, trouble?.stale], ['the store cannot be used', false]);
});

test('each fault of the configuration is a step', () => {
  const faults = [
    {
      source: '/etc/l.yaml',
      line: 3,
      field: 'locations[0].auth',
      rule: 'is missing',
      remedy: 'Add it'
    },
    { source: '/etc/m.yaml', line: 0, field: '', rule: 'is no YAML', remedy: '' }
  ];
  const trouble = configurationTrouble(place({ configuration: { faults } }));
  assert.deepEqual(trouble?.remedy.slice(0, 2), [
    'l.yaml, line 3, locations[0].auth: is missing; Add it.',
    'm.yaml: is no YAML.'
  ]);
  assert.match(trouble?.remedy[2] ?? '', /`\/etc\/l.yaml` `\/etc\/m.yaml`, then restart/);
  const one = configurationTrouble(place({ configuration: { faults: faults.slice(0, 1) } }));
  assert.equal(one?.remedy[0], 'Line 3, locations[0].auth: is missing; Add it.');
  assert.equal(configurationTrouble(place({})), undefined);
});

test('what a location cannot do, as it says or as Google is known', () => {
  assert.equal(lacks(place({ capabilities: { update: false } }), 'update'), true);
  assert.equal(lacks(place({ capabilities: { update: true } }), 'update'), false);
  assert.equal(lacks(place({}), 'logs'), false);
  const google = place({ upstream: 'google' });
  assert.deepEqual([lacks(google, 'update'), lacks(google, 'logs')], [true, true]);
  assert.equal(lacks(place({ upstream: 'google', capabilities: { logs: true } }), 'logs'), false);
});

test('the kinds of session on offer', () => {
  const kinds = (metadata: Record<string, unknown>) =>
    kindsOf(place(metadata)).map(([value]) => value);
  assert.deepEqual(kinds({}), ['PYTHON', 'SCALA']);
  assert.deepEqual(kinds({ upstream: 'google' }), ['PYTHON', 'SCALA', 'SPARK_CONNECT']);
  assert.deepEqual(kinds({ capabilities: { kernels: ['PYTHON'] } }), ['PYTHON']);
  assert.deepEqual(kinds({ capabilities: { jupyterSession: false, sparkConnectSession: true } }), [
    'SPARK_CONNECT'
  ]);
});

test('limits and properties, whatever stands there', () => {
  const full = place({ limits: { ttl: '60s', maxTtl: 7 }, capabilities: { properties: ['a', 1] } });
  assert.deepEqual([limitOf(full, 'ttl'), limitOf(full, 'maxTtl')], ['60s', '']);
  assert.deepEqual(propertiesOf(full), ['a']);
  assert.equal(propertiesOf(place({})), undefined);
});
