/** How long to wait before the next try: full jitter, so that a thousand browsers don't come back at once. Pure. */

export interface Backoff {
  baseMs: number;
  capMs: number;
}

/**
 * attempt: 0 for the first try after a loss. random: in [0, 1).
 * Returns milliseconds in [0, min(cap, base · 2^attempt)).
 */
export function delayMs(attempt: number, random: number, { baseMs, capMs }: Backoff): number {
  // 2^30 of any base is past every cap; it keeps the power finite however long the server is away.
  return Math.floor(random * Math.min(capMs, baseMs * 2 ** Math.min(attempt, 30)));
}
