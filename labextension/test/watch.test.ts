import assert from 'node:assert/strict';
import { test } from 'node:test';

import { backoff, Cursor } from '../src/model/watch';
import { PARENT } from './sessions';

const OTHER = 'projects/acme/locations/eu';

test('a cursor resumes where it stands, in every location', () => {
  const cursor = new Cursor();
  assert.equal(cursor.query(), '');
  assert.equal(cursor.advance(PARENT, 5), true);
  assert.equal(cursor.advance(OTHER, 2), true);
  const query = new URLSearchParams(cursor.query());
  assert.deepEqual(query.getAll('after'), [`${OTHER},2`, `${PARENT},5`]);
});

test('what was seen is not seen again; a skip is no loss', () => {
  const cursor = new Cursor();
  cursor.advance(PARENT, 5);
  assert.equal(cursor.advance(PARENT, 5), false);
  assert.equal(cursor.advance(PARENT, 4), false);
  assert.equal(cursor.advance(PARENT, 9), true);
});

test('a reset may go back', () => {
  const cursor = new Cursor();
  cursor.advance(PARENT, 500);
  cursor.reset(PARENT, 3);
  assert.equal(cursor.advance(PARENT, 4), true);
});

test('only known locations can be resumed', () => {
  const cursor = new Cursor();
  cursor.advance(PARENT, 1);
  assert.equal(cursor.covers([PARENT]), true);
  assert.equal(cursor.covers([PARENT, OTHER]), false);
});

test('pauses double up to half a minute and are jittered', () => {
  assert.deepEqual(
    [0, 1, 2, 5, 50].map(n => backoff(n, () => 1)),
    [1000, 2000, 4000, 30000, 30000]
  );
  assert.equal(
    backoff(1, () => 0),
    1000
  );
});
