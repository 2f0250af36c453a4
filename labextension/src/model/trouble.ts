import { CONFIGURATION, ITrouble } from './location';
import { formatMoment } from './time';

/** A step of a remedy as it is drawn: words, and commands to copy. */
export interface IPiece {
  text: string;
  command: boolean;
}

const ADJECTIVES: Record<string, string> = {
  UNAUTHENTICATED: 'signed out',
  PERMISSION_DENIED: 'not permitted',
  FAILED_PRECONDITION: 'not usable',
  INVALID_ARGUMENT: 'not usable',
  NOT_FOUND: 'not found',
  [CONFIGURATION]: 'not configured'
};

/** `unreachable since 14:05`, or the like for what else may be wrong. */
export function troublePhrase(trouble: ITrouble, now: number): string {
  const what = ADJECTIVES[trouble.status] ?? 'unreachable';
  const since = formatMoment(trouble.since, now);
  return since ? `${what} since ${since}` : what;
}

/** What a stale row says: `unreachable since 14:05, last known state`. */
export function stalePhrase(trouble: ITrouble, now: number): string {
  return `${troublePhrase(trouble, now)}, last known state`;
}

/** The moment up to which a session's state is known: now, or since when its location is silent. */
export function knownUntil(trouble: ITrouble | undefined, now: number): number {
  return trouble?.stale && Number.isFinite(trouble.since) ? Math.min(trouble.since, now) : now;
}

/** Why nothing can be done with a location's sessions now. */
export function blockedPhrase(place: string, trouble: ITrouble, now: number): string {
  const remedy = needsAPerson(trouble)
    ? 'The sessions panel says at its top what to do.'
    : 'Wait until it answers again.';
  return `${place} is ${troublePhrase(trouble, now)}. ${remedy}`;
}

/** Whether only a person can mend it. */
export function needsAPerson(trouble: ITrouble): boolean {
  return trouble.status in ADJECTIVES;
}

/** The line that leads a location's banner. */
export function troubleHeadline(place: string, trouble: ITrouble, now: number): string {
  switch (trouble.status) {
    case 'UNAUTHENTICATED':
      return `Sign in again: ${place}`;
    case 'PERMISSION_DENIED':
      return `${place} denies access`;
    case CONFIGURATION:
      return 'The configuration of locations is faulty';
    case 'FAILED_PRECONDITION':
    case 'INVALID_ARGUMENT':
    case 'NOT_FOUND':
      return `${place} cannot be used as it is configured`;
    default:
      return `${place} is ${troublePhrase(trouble, now)}`;
  }
}

/** What is said where the location gives no reason of its own, or beside it. */
export function troubleNote(trouble: ITrouble): string {
  if (!trouble.stale) {
    return '';
  }
  const alone =
    trouble.remedy.length || needsAPerson(trouble) ? '' : ' It is tried again by itself.';
  return `Its sessions are shown as they were last known.${alone}`;
}

/** A trouble's message without the hint at its end, `[…]`, that its remedy says too. */
export function troubleMessage(trouble: ITrouble): string {
  const match = /^([^]*?)\s*\[([^[\]]*)\]$/.exec(trouble.message);
  const said = (hint: string) => trouble.remedy.join(' ').includes(hint.trim());
  return match && said(match[2]) ? match[1] : trouble.message;
}

/** A step of a remedy in pieces; what stands in backticks is a command. */
export function piecesOf(step: string): IPiece[] {
  return step
    .split(/(`[^`]+`)/)
    .filter(piece => piece)
    .map(piece =>
      /^`[^`]+`$/.test(piece)
        ? { text: piece.slice(1, -1), command: true }
        : { text: piece, command: false }
    );
}
