import assert from 'node:assert/strict';
import { test } from 'node:test';

import { layOut, spansOf } from '../src/model/timeline';
import { at, session, T0 } from './sessions';

test('the current state runs on until now', () => {
  const spans = spansOf(session('a'), T0 + 10_000);
  assert.deepEqual(
    spans.map(span => [span.state, span.duration, span.current]),
    [
      ['CREATING', 4, false],
      ['ACTIVE', 6, true]
    ]
  );
  assert.equal(spans[0].message, 'starting');
});

test('a final state does not run on', () => {
  const [, last] = spansOf(session('a', 'FAILED'), T0 + 10_000);
  assert.equal(last.duration, 0);
  assert.equal(last.start, T0 + 4000);
});

test('a clock behind the server gives no negative duration', () => {
  const [, last] = spansOf(session('a'), T0 - 60_000);
  assert.equal(last.duration, 0);
});

test('widths are to scale where no state is short', () => {
  const marks = layOut(spansOf(session('a'), T0 + 10_000), 0.05);
  assert.ok(Math.abs(marks[0].width - 0.4) < 1e-9);
  assert.ok(Math.abs(marks[1].left - 0.4) < 1e-9);
});

test('a short state keeps the floor, and the line stays whole', () => {
  const long = session('a', 'TERMINATED', {
    stateTime: at(100_002),
    stateHistory: [
      { state: 'CREATING', stateStartTime: at(0) },
      { state: 'ACTIVE', stateStartTime: at(1) },
      { state: 'TERMINATING', stateStartTime: at(100_000) }
    ]
  });
  const marks = layOut(spansOf(long, T0), 0.1);
  assert.equal(marks.length, 4);
  for (const mark of marks) {
    assert.ok(mark.width >= 0.1 - 1e-9);
  }
  assert.ok(Math.abs(marks.reduce((sum, mark) => sum + mark.width, 0) - 1) < 1e-9);
  assert.ok(marks[1].width > 0.6);
});

test('a line of no length is shared evenly, and an empty one is empty', () => {
  const marks = layOut(spansOf(session('a', 'CREATING'), T0));
  assert.deepEqual([marks[0].left, marks[0].width], [0, 1]);
  assert.deepEqual(layOut([]), []);
});
