/** The label of a session that holds the id of its main kernel; without it the first kernel is the main one. */
export const MAIN_LABEL = 'main-kernel';

/** What each of a session's kernels is called, `python3 (main)` for the main one. */
export function kernelTitles<T extends { id: string; name: string }>(
  session: { labels?: Readonly<Record<string, string>> },
  kernels: readonly T[]
): string[] {
  const main = mainKernel(session, kernels);
  return kernels.map(kernel => (kernel === main ? `${kernel.name} (main)` : kernel.name));
}

/** The kernel that shares its variables: the one marked so if it runs, else the first of `kernels`, oldest first. */
export function mainKernel<T extends { id: string }>(
  session: { labels?: Readonly<Record<string, string>> },
  kernels: readonly T[]
): T | undefined {
  const marked = session.labels?.[MAIN_LABEL];
  return kernels.find(kernel => kernel.id === marked) ?? kernels[0];
}
