/** How much a price can be trusted to be of now. Pure. */

import type { AssetUpdate } from "./api";

export type Freshness = "live" | "stale" | "closed" | "waiting";

export const FRESHNESS_WORDS: Record<Freshness, string> = {
  live: "Live",
  stale: "Stale",
  closed: "Closed",
  waiting: "Waiting",
};

/**
 * now: by the server's clock, ms. freshMs: how long a price counts as fresh. connected: whether updates can arrive at all.
 * A closed market's price is right however old it is; everything else goes by its age.
 */
export function freshness(
  update: AssetUpdate | undefined,
  now: number,
  freshMs: number,
  connected: boolean,
): { state: Freshness; ageMs: number | null } {
  if (update == null || update.price == null) return { state: "waiting", ageMs: null };
  const time = Date.parse(update.venue_time ?? update.received_at ?? "");
  const ageMs = Number.isNaN(time) ? null : Math.max(0, now - time);
  if (update.quality === "closed") return { state: "closed", ageMs };
  const old = update.quality === "stale" || ageMs === null || ageMs > freshMs;
  return { state: old || !connected ? "stale" : "live", ageMs };
}
