import assert from 'node:assert/strict';
import { test } from 'node:test';

import { endpointOf } from '../src/model/endpoint';
import { inWords, limitFault } from '../src/model/limit';
import { ITrouble } from '../src/model/location';
import { formatMoment } from '../src/model/time';
import {
  blockedPhrase,
  knownUntil,
  piecesOf,
  stalePhrase,
  troubleHeadline,
  troubleMessage,
  troubleNote
} from '../src/model/trouble';
import { kernelsUse, startingPhrase } from '../src/model/words';
import { T0 } from './sessions';

const NOW = T0 + 60_000;
const CLOCK = formatMoment(T0, NOW);

function trouble(status: string, more: Partial<ITrouble> = {}): ITrouble {
  return { status, since: T0, message: '', remedy: [], stale: true, ...more };
}

test('a stale row says since when and that it is the last known state', () => {
  assert.equal(
    stalePhrase(trouble('UNAVAILABLE'), NOW),
    `unreachable since ${CLOCK}, last known state`
  );
  assert.equal(
    stalePhrase(trouble('DEADLINE_EXCEEDED', { since: NaN }), NOW),
    'unreachable, last known state'
  );
  assert.match(stalePhrase(trouble('UNAUTHENTICATED'), NOW), /^signed out since/);
});

test('what is known of a session ends where its location fell silent', () => {
  assert.equal(knownUntil(trouble('UNAVAILABLE'), NOW), T0);
  assert.equal(knownUntil(trouble('UNAVAILABLE', { since: NaN }), NOW), NOW);
  assert.equal(knownUntil(trouble('PERMISSION_DENIED', { stale: false }), NOW), NOW);
  assert.equal(knownUntil(undefined, NOW), NOW);
});

test('headlines say what a person can do about it', () => {
  const headline = (status: string) => troubleHeadline('EU', trouble(status), NOW);
  assert.equal(headline('UNAUTHENTICATED'), 'Sign in again: EU');
  assert.equal(headline('PERMISSION_DENIED'), 'EU denies access');
  assert.equal(headline('NOT_FOUND'), 'EU cannot be used as it is configured');
  assert.equal(headline('UNAVAILABLE'), `EU is unreachable since ${CLOCK}`);
});

test('why an act is refused', () => {
  assert.match(
    blockedPhrase('EU', trouble('UNAVAILABLE'), NOW),
    /^EU is unreachable since .*\. Wait/
  );
  assert.doesNotMatch(blockedPhrase('EU', trouble('UNAUTHENTICATED'), NOW), /Wait/);
});

test('the note does not repeat a remedy', () => {
  assert.match(troubleNote(trouble('UNAVAILABLE')), /by itself/);
  assert.doesNotMatch(troubleNote(trouble('UNAVAILABLE', { remedy: ['Wait.'] })), /by itself/);
  assert.equal(troubleNote(trouble('PERMISSION_DENIED', { stale: false })), '');
});

test('a hint that the remedy repeats is left out of the message, another stays', () => {
  const remedy = ['Write a token into /t; it is read at once.'];
  const message = 'no token\nwas given [Write a token into /t; it is read at once.]';
  assert.equal(
    troubleMessage(trouble('UNAUTHENTICATED', { message, remedy })),
    'no token\nwas given'
  );
  assert.equal(troubleMessage(trouble('UNAUTHENTICATED', { message })), message);
  assert.equal(troubleMessage(trouble('UNAVAILABLE', { message: 'at [::1]' })), 'at [::1]');
});

test('commands in backticks are apart', () => {
  assert.deepEqual(piecesOf('Run `gcloud auth login`, then try.'), [
    { text: 'Run ', command: false },
    { text: 'gcloud auth login', command: true },
    { text: ', then try.', command: false }
  ]);
  assert.deepEqual(piecesOf('One ` alone'), [{ text: 'One ` alone', command: false }]);
});

test('only http and https become links', () => {
  assert.equal(endpointOf('https://spark.example/ui?a=1').href, 'https://spark.example/ui?a=1');
  assert.equal(endpointOf('http://127.0.0.1:4040/').href, 'http://127.0.0.1:4040/');
  for (const uri of [
    'javascript:alert(1)',
    ' JavaScript:alert(1)',
    'java\nscript:alert(1)',
    'data:text/html,<script>',
    'vbscript:x',
    'sc://host:15002',
    'file:///etc/passwd',
    '//host/path',
    'no address'
  ]) {
    assert.deepEqual(endpointOf(uri), { text: uri }, uri);
  }
});

test('an address with a password is no link, and does not show it', () => {
  assert.deepEqual(endpointOf('https://ada:secret@host/x'), { text: 'https://…@host/x' });
});

test('a socket is shown as its path', () => {
  const shown = 'socket /tmp/a b/host.sock on the server’s machine';
  assert.deepEqual(endpointOf('http+unix://%2Ftmp%2Fa%20b%2Fhost.sock/'), { text: shown });
  assert.deepEqual(endpointOf('unix:/tmp/a b/host.sock'), { text: shown });
  assert.match(endpointOf('http+unix://%zz/').text, /%zz/);
});

test('a wrong limit teaches how it is typed', () => {
  const wire = 'seconds with at most 9 decimals and an s behind them, as 3600s or 3.5s';
  assert.match(limitFault('soon', 86400, wire), /30 min, 8 h or 2 d/);
  assert.equal(limitFault('5 min', 86400, wire), 'At least 10 min.');
  assert.equal(limitFault('3 d', 86400, wire), 'At most 1 d in this location.');
  assert.equal(limitFault('1 h', 86400, 'is less than 7200s'), 'is less than 2 h');
  assert.equal(inWords('from 600s (10 minutes) to 3.5s'), 'from 10 min (10 minutes) to 3.5 s');
});

test('what kernels use, together', () => {
  const kernel = (cpu: number, bytes: number) => ({
    id: '',
    name: '',
    usage: { cpu_percent: cpu, memory_bytes: bytes }
  });
  assert.equal(kernelsUse([kernel(10, 1e9), kernel(2.4, 5e8)]), 'CPU 12 % · 1.5 GB');
  assert.equal(kernelsUse([kernel(0, 0), { id: '', name: '' }]), '');
});

test('a kernel that starts says how long it has', () => {
  assert.equal(startingPhrase(T0, NOW), 'kernel starting for 1 min; this may take minutes');
});
