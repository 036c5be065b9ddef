import type { AssetUpdate } from "../api";
import { age } from "../format";
import { FRESHNESS_WORDS, freshness } from "../freshness";
import { useBootstrap } from "../hooks/bootstrap";
import { useServerNow } from "../hooks/clock";
import { useConnection } from "../hooks/realtime";

/** A dot and a word; how old the price is, once that matters. */
export function FreshnessBadge({ update }: { update: AssetUpdate | undefined }) {
  const { price_fresh_s } = useBootstrap();
  const connected = useConnection().phase === "live";
  const { state, ageMs } = freshness(update, useServerNow(1000), price_fresh_s * 1000, connected);
  const aged = state === "stale" && ageMs !== null && ageMs >= 1000 ? ` · ${age(ageMs)}` : "";
  return (
    <span className={`freshness ${state}`} title={update == null ? undefined : `Source: ${update.source}`}>
      <span className="dot" aria-hidden="true" />
      {FRESHNESS_WORDS[state]}
      {aged}
    </span>
  );
}
