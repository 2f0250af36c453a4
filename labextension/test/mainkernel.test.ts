import assert from 'node:assert/strict';
import { test } from 'node:test';

import { kernelTitles, mainKernel } from '../src/model/mainkernel';

const KERNELS = [{ id: 'first' }, { id: 'second' }];

test('the main kernel is the first one where none is marked', () => {
  assert.equal(mainKernel({}, KERNELS), KERNELS[0]);
  assert.equal(mainKernel({ labels: { team: 'second' } }, KERNELS), KERNELS[0]);
});

test('the main kernel is the one that the label names', () => {
  assert.equal(mainKernel({ labels: { 'main-kernel': 'second' } }, KERNELS), KERNELS[1]);
});

test('the main kernel is the first one where the marked one runs no more', () => {
  assert.equal(mainKernel({ labels: { 'main-kernel': 'gone' } }, KERNELS), KERNELS[0]);
});

test('there is no main kernel where none runs', () => {
  assert.equal(mainKernel({ labels: { 'main-kernel': 'gone' } }, []), undefined);
});

test('the kernel that is called the main one is the one that shares its variables', () => {
  const kernels = KERNELS.map(({ id }) => ({ id, name: 'python3' }));
  const marked = { labels: { 'main-kernel': 'second' } };
  assert.deepEqual(kernelTitles(marked, kernels), ['python3', 'python3 (main)']);
  assert.deepEqual(kernelTitles({}, kernels), ['python3 (main)', 'python3']);
});
