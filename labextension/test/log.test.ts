import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ILogPage } from '../src/model/session';
import { LogTail } from '../src/state/log';

/** A log that grows; offsets are characters. */
class Growing {
  text = '';
  complete = false;
  reads: number[] = [];

  read = (offset: number, limit: number): Promise<ILogPage> => {
    this.reads.push(offset);
    const from = offset < 0 ? Math.max(0, this.text.length + offset) : offset;
    const content = this.text.slice(from, from + limit);
    const nextOffset = from + content.length;
    const complete = this.complete && nextOffset === this.text.length;
    return Promise.resolve({ content, offset: from, nextOffset, truncated: false, complete });
  };
}

test('the tail first, then only what is new', async () => {
  const log = new Growing();
  log.text = 'one\n';
  const tail = new LogTail(log.read);
  assert.equal(await tail.follow(), true);
  assert.equal(await tail.follow(), false);
  log.text += 'two\n';
  assert.equal(await tail.follow(), true);
  assert.equal(tail.text, 'one\ntwo\n');
  assert.equal(tail.cut, false);
  assert.ok(log.reads[0] < 0);
  assert.ok(log.reads.slice(1).every(offset => offset >= 4));
});

test('a long log is cut at its start, and what is kept is bounded', async () => {
  const log = new Growing();
  log.text = 'x'.repeat(99) + '\n';
  log.text = log.text.repeat(1000);
  const tail = new LogTail(log.read);
  await tail.follow();
  assert.equal(tail.cut, true);
  assert.equal(tail.text.length, 65536);
  log.text += log.text.repeat(5);
  await tail.follow();
  assert.ok(tail.text.length <= 262144);
  assert.ok(tail.text.startsWith('x') && log.text.endsWith(tail.text));
});

test('a log that ended says so', async () => {
  const log = new Growing();
  log.text = 'bye\n';
  log.complete = true;
  const tail = new LogTail(log.read);
  await tail.follow();
  assert.equal(tail.complete, true);
});

test('a failure is told, and passes when the log can be read again', async () => {
  const log = new Growing();
  let away = true;
  const tail = new LogTail((offset, limit) =>
    away ? Promise.reject(new Error('away')) : log.read(offset, limit)
  );
  assert.equal(await tail.follow(), true);
  assert.equal(tail.error, 'away');
  assert.equal(await tail.follow(), false);
  away = false;
  assert.equal(await tail.follow(), true);
  assert.equal(tail.error, '');
});
