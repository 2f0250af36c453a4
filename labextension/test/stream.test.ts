import assert from 'node:assert/strict';
import { mock, test } from 'node:test';

import type { ServerConnection } from '@jupyterlab/services';

import { WatchStream } from '../src/api/stream';

/** A websocket that does what the test says. */
class FakeSocket {
  static all: FakeSocket[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: (() => void) | null = null;

  constructor(readonly url: string) {
    FakeSocket.all.push(this);
  }

  close(): void {
    this.onclose?.();
  }
}

function setUp(): WatchStream {
  FakeSocket.all = [];
  const settings = { baseUrl: 'http://h/', wsUrl: 'ws://h/', WebSocket: FakeSocket, token: '' };
  return new WatchStream(settings as unknown as ServerConnection.ISettings, () => '');
}

const last = () => FakeSocket.all[FakeSocket.all.length - 1];

test('a server that accepts and closes at once is asked ever more seldom', () => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  try {
    const stream = setUp();
    stream.open();
    for (let second = 0, seen = 0; second < 60; second++) {
      if (FakeSocket.all.length > seen) {
        seen = FakeSocket.all.length;
        last().onopen?.();
        last().onclose?.();
      }
      mock.timers.tick(1000);
    }
    assert.ok(FakeSocket.all.length < 15, `${FakeSocket.all.length} attempts in a minute`);
    stream.dispose();
  } finally {
    mock.timers.reset();
  }
});

test('a link that stood is soon tried again, and not after disposing', () => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_000_000 });
  try {
    const stream = setUp();
    stream.open();
    for (let hour = 0; hour < 8; hour++) {
      last().onopen?.();
      mock.timers.tick(3_600_000);
      last().onclose?.();
      assert.ok(stream.retryAt - Date.now() <= 1000);
      mock.timers.tick(1000);
      assert.equal(FakeSocket.all.length, hour + 2);
    }
    stream.dispose();
    last().onclose?.();
    mock.timers.tick(60_000);
    assert.equal(FakeSocket.all.length, 9);
  } finally {
    mock.timers.reset();
  }
});
