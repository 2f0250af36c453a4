import { mainKernel } from '../src/model/mainkernel';

const KERNELS = [{ id: 'first' }, { id: 'second' }];

describe('the main kernel', () => {
  it('is the first one where none is marked', () => {
    expect(mainKernel({}, KERNELS)).toBe(KERNELS[0]);
    expect(mainKernel({ labels: { team: 'second' } }, KERNELS)).toBe(KERNELS[0]);
  });

  it('is the one that the label names', () => {
    expect(mainKernel({ labels: { 'main-kernel': 'second' } }, KERNELS)).toBe(KERNELS[1]);
  });

  it('is the first one where the marked one does not run any more', () => {
    expect(mainKernel({ labels: { 'main-kernel': 'gone' } }, KERNELS)).toBe(KERNELS[0]);
  });

  it('is none where none runs', () => {
    expect(mainKernel({ labels: { 'main-kernel': 'gone' } }, [])).toBeUndefined();
  });
});
