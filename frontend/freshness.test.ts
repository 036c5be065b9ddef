import { expect, test } from "vitest";
import type { AssetUpdate } from "./api";
import { freshness } from "./freshness";

const NOW = Date.parse("2026-01-28T10:30:00Z");

function update(more: Partial<AssetUpdate>): AssetUpdate {
  return {
    symbol: "BTC-USDT",
    price: 1,
    change: null,
    change_percent: null,
    bid: null,
    ask: null,
    source: "simulated",
    quality: "live",
    venue_time: "2026-01-28T10:29:59Z",
    received_at: "2026-01-28T10:29:59Z",
    ...more,
  };
}

const state = (more: Partial<AssetUpdate>, connected = true) => freshness(update(more), NOW, 60_000, connected).state;

test("a young price is live, an old one stale whatever it says of itself", () => {
  expect(state({})).toBe("live");
  expect(state({ venue_time: "2026-01-28T10:28:59Z" })).toBe("stale");
  expect(state({ quality: "stale" })).toBe("stale");
});

test("nothing is live over a connection that is gone", () => {
  expect(state({}, false)).toBe("stale");
});

test("a closed market's price is old and right", () => {
  expect(state({ quality: "closed", venue_time: "2026-01-27T21:00:00Z" })).toBe("closed");
});

test("no price, no time: nobody guesses", () => {
  expect(freshness(undefined, NOW, 60_000, true)).toEqual({ state: "waiting", ageMs: null });
  expect(state({ price: null })).toBe("waiting");
  expect(state({ venue_time: null, received_at: null })).toBe("stale");
});
