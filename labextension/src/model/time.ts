const MINUTE = 60;
const HOUR = 3600;
const DAY = 86400;

/** Milliseconds since the epoch of an RFC 3339 time of any precision; NaN where it is none. */
export function parseTime(text: string | undefined): number {
  if (!text) {
    return NaN;
  }
  const match = /^(.*?)(\.\d+)?(Z|[+-]\d\d:\d\d)$/.exec(text);
  if (!match) {
    return NaN;
  }
  const [, head, fraction, zone] = match;
  return Date.parse(head + zone) + (fraction ? Number(fraction) * 1000 : 0);
}

/** Seconds of a proto3 JSON duration such as `"3.5s"`; NaN where it is none. */
export function parseDuration(text: string | undefined): number {
  const match = /^(-?\d+(?:\.\d{1,9})?)s$/.exec(text ?? '');
  return match ? Number(match[1]) : NaN;
}

/** The units that a person may type, in seconds. */
const UNITS: readonly [RegExp, number][] = [
  [/^s(ec(ond)?s?)?$/, 1],
  [/^m(in(ute)?s?)?$/, MINUTE],
  [/^h((ou)?rs?)?$/, HOUR],
  [/^d(ays?)?$/, DAY],
  [/^w(eeks?)?$/, 7 * DAY]
];

/** Seconds of what a person types, such as `90 m`, `2h 30m`, `1 d` or `3600s`; NaN where it is none or lacks a unit. */
export function parseTyped(text: string): number {
  const trimmed = text.trim().toLowerCase();
  const part = /(\d+(?:\.\d+)?)\s*([a-z]+)[\s,]*/y;
  let seconds = 0;
  while (part.lastIndex < trimmed.length) {
    const match = part.exec(trimmed);
    const unit = match && UNITS.find(([pattern]) => pattern.test(match[2]));
    if (!unit) {
      return NaN;
    }
    seconds += Number(match[1]) * unit[1];
  }
  return trimmed ? seconds : NaN;
}

/** Seconds as a duration of the wire, whole as limits are: `3960s`. */
export function onWire(seconds: number): string {
  return `${Math.round(seconds)}s`;
}

/** A duration in words of two units at most: `4.1 s`, `12 s`, `8 min`, `2 h 14 m`, `3 d 4 h`. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) {
    return '';
  }
  const whole = Math.max(0, seconds);
  if (whole < 10) {
    return `${Math.floor(whole * 10) / 10} s`;
  }
  if (whole < MINUTE) {
    return `${Math.floor(whole)} s`;
  }
  if (whole < HOUR) {
    return `${Math.floor(whole / MINUTE)} min`;
  }
  if (whole < DAY) {
    return pair(whole, HOUR, 'h', MINUTE, 'm');
  }
  return pair(whole, DAY, 'd', HOUR, 'h');
}

function pair(seconds: number, big: number, bigName: string, small: number, smallName: string) {
  const rest = Math.floor((seconds % big) / small);
  return `${Math.floor(seconds / big)} ${bigName}` + (rest ? ` ${rest} ${smallName}` : '');
}

/** The exact time in the browser's locale, to the millisecond: `24 Nov 2026, 19:20:03.120`. */
export function formatExact(time: number): string {
  if (!Number.isFinite(time)) {
    return '';
  }
  const date = new Date(time);
  const day = date.toLocaleDateString(undefined, {
    year: 'numeric',
    month: 'short',
    day: 'numeric'
  });
  return `${day}, ${formatClock(time)}`;
}

/** The time of day to the millisecond, as the history table shows it. */
export function formatClock(time: number): string {
  const date = new Date(time);
  const clock = date.toLocaleTimeString(undefined, {
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hourCycle: 'h23'
  });
  return `${clock}.${String(date.getMilliseconds()).padStart(3, '0')}`;
}

/** A moment of the history: `19:20:03.120`, led by its day where that is not today's: `24 Nov 19:20:03.120`. */
export function formatStamp(time: number, now: number): string {
  if (!Number.isFinite(time)) {
    return '';
  }
  const date = new Date(time);
  if (date.toDateString() === new Date(now).toDateString()) {
    return formatClock(time);
  }
  const day = date.toLocaleDateString(undefined, { day: 'numeric', month: 'short' });
  return `${day} ${formatClock(time)}`;
}

/** A moment near now, shortly: `21:40` today, `Wed 21:40` within a week, else `24 Nov`. */
export function formatMoment(time: number, now: number): string {
  if (!Number.isFinite(time)) {
    return '';
  }
  const date = new Date(time);
  const clock = date.toLocaleTimeString(undefined, {
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23'
  });
  if (date.toDateString() === new Date(now).toDateString()) {
    return clock;
  }
  if (Math.abs(time - now) < 6 * DAY * 1000) {
    return `${date.toLocaleDateString(undefined, { weekday: 'short' })} ${clock}`;
  }
  return date.toLocaleDateString(undefined, { day: 'numeric', month: 'short' });
}
