import { IEnd, IEnds } from './ends';
import { IKernelUsage, ISession, ISessionKernel } from './session';
import { formatDuration, formatMoment } from './time';

/** The sentence that says what a session is. */
export const WHAT = 'A session is a runtime that outlives this browser and this server.';

const CAUSE = { ttl: 'age', idleTtl: 'idle' } as const;

/** `ends 21:40 (idle)`. */
export function endPhrase(end: IEnd, now: number): string {
  return `ends ${formatMoment(end.time, now)} (${CAUSE[end.cause]})`;
}

/** When an ACTIVE session ends and why, as a sentence. */
export function endSentence(ends: IEnds, now: number): string {
  const { idle, latest, held } = ends;
  const parts: string[] = [];
  if (held !== undefined) {
    parts.push(`when idle for ${formatDuration(held)} (a kernel is busy now)`);
  } else if (idle && (!latest || idle.time < latest.time)) {
    parts.push(`${formatMoment(idle.time, now)} if idle until then`);
  }
  if (latest) {
    parts.push(`${formatMoment(latest.time, now)} at the latest`);
  }
  return parts.length ? `ends ${parts.join(', ')}` : 'no limit will end it';
}

/** The warning of a near end. */
export function warning(name: string, end: IEnd, now: number): string {
  const left = formatDuration(Math.max(0, end.time - now) / 1000);
  const why = end.cause === 'ttl' ? 'its time will be up' : 'it is idle';
  return `Session “${name}” ends at ${formatMoment(end.time, now)}, in ${left}, because ${why}.`;
}

/** CPU and memory in use, `CPU 12 % · 0.4 GB`; nothing where nothing is known. */
export function usagePhrase(cpu: number, bytes: number): string {
  const parts: string[] = [];
  if (Number.isFinite(cpu)) {
    parts.push(`CPU ${Math.round(cpu)} %`);
  }
  if (Number.isFinite(bytes)) {
    parts.push(bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`);
  }
  return parts.join(' · ');
}

/** What Google's units of use are, for those who look. */
export const UNITS =
  'Google bills a session by data compute units (DCU) and the hours they are used.';

/** The total usage of a session in Google's unit, as `0.42 unit hours`; empty where unknown. */
export function totalPhrase(session: ISession): string {
  const total = Number(session.runtimeInfo?.approximateUsage?.milliDcuSeconds ?? NaN);
  return Number.isFinite(total) ? `${(total / 3_600_000).toFixed(2)} unit hours` : '';
}

/** What an ACTIVE session uses now in Google's unit, as `0.31 units`; empty where unknown. */
export function nowPhrase(session: ISession): string {
  const now = Number(session.runtimeInfo?.currentUsage?.milliDcu ?? NaN);
  return session.state === 'ACTIVE' && Number.isFinite(now)
    ? `${(now / 1000).toFixed(2)} units`
    : '';
}

/** What all kernels of a session use together, `CPU 12 % · 0.4 GB`; empty where it is not measured. */
export function kernelsUse(kernels: readonly ISessionKernel[]): string {
  const measured = kernels.filter(kernel => kernel.usage?.memory_bytes);
  const sum = (read: (usage: IKernelUsage) => number | undefined) =>
    measured.reduce(
      (total, kernel) => total + (Number(kernel.usage && read(kernel.usage)) || 0),
      0
    );
  return measured.length
    ? usagePhrase(
        sum(usage => usage.cpu_percent),
        sum(usage => usage.memory_bytes)
      )
    : '';
}

/** A kernel that starts elsewhere: `kernel starting for 40 s; this may take minutes`. */
export function startingPhrase(since: number, now: number): string {
  const wait = formatDuration(Math.max(0, Math.floor((now - since) / 1000)));
  return `kernel starting for ${wait}; this may take minutes`;
}

/** The first line of a message. */
export function firstLine(message: string | undefined): string {
  return (message ?? '').split('\n', 1)[0];
}
