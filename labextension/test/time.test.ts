import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  formatDuration,
  formatMoment,
  formatStamp,
  onWire,
  parseDuration,
  parseTime,
  parseTyped
} from '../src/model/time';

test('a time of nanoseconds keeps its milliseconds', () => {
  assert.equal(
    parseTime('2026-01-02T03:04:05.123456789Z'),
    Date.UTC(2026, 0, 2, 3, 4, 5) + 123.456789
  );
  assert.equal(parseTime('2026-01-02T04:04:05+01:00'), Date.UTC(2026, 0, 2, 3, 4, 5));
});

test('what is no time is NaN', () => {
  for (const text of [undefined, '', 'yesterday', '2026-01-02']) {
    assert.ok(Number.isNaN(parseTime(text)));
  }
});

test('durations of the wire', () => {
  assert.equal(parseDuration('3.500s'), 3.5);
  assert.equal(parseDuration('86400s'), 86400);
  for (const text of [undefined, '', '5', '5m', 's', '1.2.3s']) {
    assert.ok(Number.isNaN(parseDuration(text)));
  }
});

test('durations as a person types them', () => {
  const table: [string, number][] = [
    ['90 m', 5400],
    ['2h 30m', 9000],
    ['2 h 14 min', 8040],
    ['1 day', 86400],
    ['2 weeks', 1209600],
    ['3600s', 3600],
    ['1.5 h', 5400]
  ];
  for (const [text, seconds] of table) {
    assert.equal(parseTyped(text), seconds, text);
  }
  for (const text of ['', 'soon', '5 x', 'h', '-5 m', '3600', '5 ms', '3 months', '2 h 30']) {
    assert.ok(Number.isNaN(parseTyped(text)), text);
  }
});

test('durations in words, and what the words mean when typed back', () => {
  const table: [number, string][] = [
    [4.16, '4.1 s'],
    [12, '12 s'],
    [59.9, '59 s'],
    [480, '8 min'],
    [8040, '2 h 14 m'],
    [7200, '2 h'],
    [273600, '3 d 4 h']
  ];
  for (const [seconds, words] of table) {
    assert.equal(formatDuration(seconds), words);
  }
  assert.equal(formatDuration(NaN), '');
  for (const seconds of [480, 8040, 7200, 273600]) {
    assert.equal(parseTyped(formatDuration(seconds)), seconds);
  }
});

test('a moment says its day only when it is another', () => {
  const noon = new Date(2026, 5, 10, 12, 0).getTime();
  assert.equal(formatMoment(new Date(2026, 5, 10, 21, 40).getTime(), noon), '21:40');
  assert.match(formatMoment(new Date(2026, 5, 11, 9, 5).getTime(), noon), /^\D+ 09:05$/);
  assert.doesNotMatch(formatMoment(new Date(2026, 8, 1, 9, 5).getTime(), noon), /09:05/);
});

test('a typed limit is whole seconds on the wire', () => {
  assert.equal(onWire(parseTyped('1.1 h')), '3960s');
});

test('a moment of the history names its day where that is not today', () => {
  const then = new Date(2026, 5, 10, 21, 40, 1, 5).getTime();
  assert.equal(formatStamp(then, then + 1000), '21:40:01.005');
  const later = formatStamp(then, then + 86400_000);
  assert.match(later, /10.* 21:40:01\.005$/);
});
