import assert from 'node:assert/strict';
import { test } from 'node:test';

import { choices, focusAfter, matches, newestFirst, sectionsOf } from '../src/model/listing';
import { kernelLabel, locationLabel, shortName, title } from '../src/model/session';
import { lookOf } from '../src/model/states';
import { at, session } from './sessions';

const sessions = [
  session('old', 'ACTIVE', { createTime: at(-50), labels: { env: 'prod' } }),
  session('new', 'FAILED', { createTime: at(50) }),
  session('mid', 'CREATING', { jupyterSession: { displayName: 'My work', kernel: 'SCALA' } })
];

test('newest first', () => {
  assert.deepEqual(
    newestFirst(sessions).map(row => shortName(row.name)),
    ['new', 'mid', 'old']
  );
});

test('sections by state, filtered by every word', () => {
  const { running, ended } = sectionsOf(sessions, '');
  assert.deepEqual([running.length, ended.length], [2, 1]);
  assert.deepEqual(sectionsOf(sessions, 'env:prod active').running, [sessions[0]]);
  assert.equal(sectionsOf(sessions, 'env:prod failed').running.length, 0);
});

test('the filter sees name, display name, label, state, kernel and location', () => {
  for (const word of ['mid', 'MY WORK', 'creating', 'scala', 'local']) {
    assert.ok(matches(sessions[2], word), word);
  }
  assert.equal(matches(sessions[2], 'python'), false);
});

test('what a row says', () => {
  assert.equal(title(sessions[2]), 'My work');
  assert.equal(title(sessions[0]), 'old');
  assert.equal(kernelLabel(sessions[0]), 'Python');
  assert.equal(locationLabel(sessions[0].name), 'local');
  assert.equal(locationLabel('projects/acme/locations/eu/sessions/x'), 'eu (acme)');
});

test('no two states share a sign, and a state of the future is unknown', () => {
  const signs = ['CREATING', 'ACTIVE', 'TERMINATING', 'TERMINATED', 'FAILED'] as const;
  assert.equal(new Set(signs.map(state => lookOf(state).sign)).size, 5);
  assert.equal(lookOf('HIBERNATED' as 'ACTIVE').word, 'UNKNOWN');
});

test('one location’s sessions alone, and a location found by its name', () => {
  const far = session('far', 'ACTIVE', { name: 'projects/acme/locations/eu/sessions/far' });
  const both = [...sessions, far];
  assert.deepEqual(sectionsOf(both, '', 'projects/acme/locations/eu').running, [far]);
  assert.equal(sectionsOf(both, 'spark', '', () => 'Spark EU').running.length, 3);
  assert.equal(sectionsOf(both, 'spark').running.length, 0);
});

test('no two sessions are chosen by the same words', () => {
  const rows = [
    session('abcd'),
    session('abcd', 'ACTIVE', { name: 'projects/acme/locations/eu/sessions/abcd' }),
    session('one', 'ACTIVE', { jupyterSession: { displayName: 'Work' } }),
    session('two', 'ACTIVE', { jupyterSession: { displayName: 'Work' } }),
    session('far')
  ];
  const titleOf = ({ name }: { name: string }) => name.split('/')[3];
  assert.deepEqual(choices(rows, titleOf), [
    'abcd (abcd, local)',
    'abcd (abcd, eu)',
    'Work (one)',
    'Work (two)',
    'far'
  ]);
});

test('the focus of a row that is gone goes to the next, else to the last', () => {
  const rows = ['a', 'b', 'c'];
  assert.equal(focusAfter(rows, ['a', 'c'], 'b'), 'c');
  assert.equal(focusAfter(rows, ['a', 'b'], 'c'), 'b');
  assert.equal(focusAfter(rows, ['c', 'b', 'a'], 'b'), 'b');
  assert.equal(focusAfter(rows, [], 'b'), '');
  assert.equal(focusAfter([], ['a'], 'b'), '');
});
