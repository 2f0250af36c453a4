import assert from 'node:assert/strict';
import { test } from 'node:test';

import { endsOf, extended, warnsAt } from '../src/model/ends';
import { endPhrase, endSentence, warning } from '../src/model/words';
import { EndWarnings, isNear } from '../src/state/warnings';
import { session, T0 } from './sessions';

const ACTIVE = T0 + 4000;
const idle = (lastActivity: number) => ({ busy: false, lastActivity });

test('the idle end counts from ACTIVE, then from the last activity', () => {
  assert.deepEqual(endsOf(session('a'), []).next, { time: ACTIVE + 3600_000, cause: 'idleTtl' });
  const later = endsOf(session('a'), [idle(ACTIVE + 60_000), idle(ACTIVE + 5000), idle(NaN)]);
  assert.equal(later.idle?.time, ACTIVE + 3660_000);
});

test('a busy kernel leaves only the age limit', () => {
  const ends = endsOf(session('a'), [{ busy: true, lastActivity: ACTIVE }]);
  assert.equal(ends.idle, undefined);
  assert.deepEqual(ends.next, { time: ACTIVE + 7200_000, cause: 'ttl' });
  assert.equal(ends.held, 3600);
});

test('the age limit comes first where it is earlier', () => {
  assert.equal(endsOf(session('a'), [idle(ACTIVE + 7000_000)]).next?.cause, 'ttl');
});

test('only an ACTIVE session has an end to come', () => {
  for (const state of ['CREATING', 'TERMINATING', 'TERMINATED', 'FAILED'] as const) {
    assert.deepEqual(endsOf(session('a', state), []), {});
  }
});

test('warned ten minutes before, of a short limit at its half', () => {
  const ends = endsOf(session('a'), []);
  assert.ok(ends.next);
  assert.equal(warnsAt(session('a'), ends.next), ACTIVE + 3000_000);
  const short = session('a', 'ACTIVE', {
    environmentConfig: { executionConfig: { idleTtl: '600s' } }
  });
  const end = endsOf(short, []).next;
  assert.ok(end);
  assert.equal(warnsAt(short, end), ACTIVE + 300_000);
  assert.equal(isNear(short, endsOf(short, []), ACTIVE + 299_000), false);
  assert.equal(isNear(short, endsOf(short, []), ACTIVE + 300_000), true);
});

test('extending moves whichever limit would end the session before', () => {
  const ends = endsOf(session('a'), []);
  assert.deepEqual(extended(session('a'), ends, 1800), { idleTtl: '5400s' });
  assert.deepEqual(extended(session('a'), ends, 7200), { ttl: '10800s', idleTtl: '10800s' });
  assert.deepEqual(extended(session('a'), {}, 3600), {});
  const longest = { ttl: 9000, idleTtl: 3600 };
  assert.deepEqual(extended(session('a'), ends, 1800, longest), {});
  assert.deepEqual(extended(session('a'), ends, 7200, longest), { ttl: '9000s' });
});

test('warned once a session and end, again after the end moved and neared anew', () => {
  const warnings = new EndWarnings();
  let activity: number[] = [];
  const judge = (now: number) =>
    warnings.judge([session('a')], row => endsOf(row, activity.map(idle)), now);
  const first = judge(ACTIVE);
  assert.deepEqual([first.due.length, first.next], [0, ACTIVE + 3000_000]);
  assert.equal(judge(ACTIVE + 3000_000).due.length, 1);
  assert.equal(judge(ACTIVE + 3100_000).due.length, 0);
  activity = [ACTIVE + 3150_000];
  assert.deepEqual(judge(ACTIVE + 3160_000).over, ['uuid-of-a']);
  assert.equal(judge(ACTIVE + 6700_000).due.length, 1);
});

test('a session that is gone is warned of no more', () => {
  const warnings = new EndWarnings();
  warnings.judge([session('a')], row => endsOf(row, []), ACTIVE + 3100_000);
  const verdict = warnings.judge([], () => ({}), ACTIVE + 3200_000);
  assert.deepEqual([verdict.over, verdict.next], [['uuid-of-a'], Infinity]);
});

test('the end in words', () => {
  const now = new Date(2026, 5, 10, 12, 0).getTime();
  const end = { time: new Date(2026, 5, 10, 12, 8).getTime(), cause: 'idleTtl' as const };
  const latest = { time: new Date(2026, 5, 10, 21, 40).getTime(), cause: 'ttl' as const };
  assert.equal(endPhrase(end, now), 'ends 12:08 (idle)');
  assert.equal(
    endSentence({ idle: end, latest }, now),
    'ends 12:08 if idle until then, 21:40 at the latest'
  );
  assert.equal(endSentence({ latest }, now), 'ends 21:40 at the latest');
  assert.equal(
    endSentence({ latest, held: 3600 }, now),
    'ends when idle for 1 h (a kernel is busy now), 21:40 at the latest'
  );
  assert.equal(endSentence({ held: 3600 }, now), 'ends when idle for 1 h (a kernel is busy now)');
  assert.equal(endSentence({}, now), 'no limit will end it');
  assert.equal(warning('x', end, now), 'Session “x” ends at 12:08, in 8 min, because it is idle.');
});
