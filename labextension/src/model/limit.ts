import { formatDuration, parseTyped } from './time';

/** The least that the API allows, in seconds. */
const LEAST = 600;

/** What a person is to type; the words teach by example. */
export const HOW_TO_TYPE = 'Write a number and a unit, such as 30 min, 8 h or 2 d.';

/**
 * What is wrong with a typed limit as far as the page knows, in the words of who types it; empty where nothing is.
 *
 * @param typed - as it stands in the field
 * @param longest - the longest that the location allows, in seconds
 */
export function typedFault(typed: string, longest: number): string {
  const seconds = Math.round(parseTyped(typed));
  if (!Number.isFinite(seconds)) {
    return HOW_TO_TYPE;
  }
  if (seconds < LEAST) {
    return `At least ${formatDuration(LEAST)}.`;
  }
  return seconds > longest ? `At most ${formatDuration(longest)} in this location.` : '';
}

/**
 * What is wrong with a typed limit that the service refused.
 *
 * @param description - what the service said of it, in the words of the wire
 */
export function limitFault(typed: string, longest: number, description: string): string {
  return typedFault(typed, longest) || inWords(description);
}

/** A sentence with its durations of the wire, such as `3600s`, in words. */
export function inWords(description: string): string {
  return description.replace(/\b\d+(?:\.\d+)?s\b/g, wire => formatDuration(parseFloat(wire)));
}
