import { expect, test } from "vitest";
import {
  duration,
  type Feed,
  type FeedEvent,
  feedRows,
  hops,
  latency,
  perSecond,
  place,
  type ServiceStatus,
  serviceOf,
  share,
} from "./status";
import { symbolsIn } from "./symbols";

const NOW = Date.parse("2026-03-02T12:00:00Z");

function service(state: ServiceStatus["service_status"], feeds: Record<string, string>) {
  const told = Object.entries(feeds).map(([type, state]) => ({ type, state, connected: state === "live", symbols: 0 }));
  return serviceOf({ service_status: state, feeds: told } as unknown as ServiceStatus);
}

function event(changes: Partial<FeedEvent>): FeedEvent {
  return {
    provider: "binance",
    state: "live",
    last_tick_age_s: 0.5,
    ticks_per_s: 10,
    reconnects: 0,
    gaps_open: 0,
    latency_ms: {},
    clock_skew_ms: 0,
    symbols: 3,
    malformed: 0,
    quarantined: 0,
    dropped: 0,
    journal_full: false,
    closed: false,
    silent: [],
    mute: [],
    refused: [],
    books: {},
    snapshots_waiting: 0,
    last_error: "",
    connections: [],
    ...changes,
  };
}

function feed(changes: Partial<Feed>): Feed {
  const wish = { wanted: "running", paused_until: null, reason: "", changed_by: null, delay_s: 0, terms: "" } as const;
  return { ...event({}), ...wish, ...changes };
}

test("the service in words names the feeds that are away", () => {
  expect(service("running", { binance: "live", kraken: "live" }).sentence).toBe("All 2 feeds are live.");
  expect(service("degraded", { binance: "live", kraken: "stale" }).sentence).toBe("Not live: kraken.");
  expect(service("running", { binance: "live", kraken: "stopped" }).sentence).toBe(
    "Every feed that should run is live; not running: kraken.",
  );
  expect(service("stopped", { binance: "stopped" })).toEqual({
    tone: "bad",
    word: "Stopped",
    sentence: "No feed is live.",
  });
  expect(service("stopped", { binance: "unknown" }).sentence).toBe("The store of messages can't be reached.");
});

test("a feed's row ages with the server's clock", () => {
  const told = { type: "binance", state: "live", symbols: 3, last_tick_at: "2026-03-02T11:59:48+00:00" };
  const [row] = feedRows([told], undefined, new Map(), NOW);
  expect(row).toMatchObject({ provider: "binance", ageMs: 12_000, more: undefined, ticksPerS: null });
});

test("what the topic says of a feed is newer than what was read, and keeps what only was read", () => {
  const status = { type: "binance", state: "live", symbols: 3 };
  const told = new Map([["binance", { event: event({ state: "stale", last_tick_age_s: 61 }), at: NOW - 500 }]]);
  const [row] = feedRows([status], [feed({ terms: "Free." })], told, NOW);
  expect(row).toMatchObject({ state: "stale", ageMs: 61_500 });
  expect(row?.more).toMatchObject({ state: "stale", terms: "Free." });
});

test("the hops come in the order of a tick's way, the venues' by feed", () => {
  const rows = hops({
    published_to_hub: { p50: 1.2, p99: 8 },
    venue_to_received: { binance: { p50: -3, p99: 20 }, kraken: {} },
  });
  expect(rows.map(({ name, of }) => [name, of])).toEqual([
    ["Venue → received", "binance"],
    ["Venue → received", "kraken"],
    ["Received → journalled", null],
    ["Published → web", null],
    ["Published → sent", null],
    ["Browser and back", null],
  ]);
  expect(rows[0]).toMatchObject({ p50: -3, p99: 20 });
  expect(rows[1]).toMatchObject({ p50: null, p99: null });
});

test("latencies lie on a scale of tens", () => {
  expect(place(0.1)).toBe(0);
  expect(place(10_000)).toBe(1);
  expect(place(-5)).toBe(0);
  expect(place(10) - place(1)).toBeCloseTo(place(1000) - place(100));
});

test("figures for people", () => {
  expect([latency(0.42), latency(41.3), latency(1234), latency(-3.2), latency(null)]).toEqual([
    "0.4 ms",
    "41 ms",
    "1.2 s",
    "−3.2 ms",
    "–",
  ]);
  expect([0, 45, 725, 12_000, 187_200].map(duration)).toEqual(["0 s", "45 s", "12 min 5 s", "3 h 20 min", "2 d 4 h"]);
  expect([perSecond(0.42), perSecond(20_133.4), perSecond(undefined)]).toEqual(["0.4", "20,133", "–"]);
  expect([share(0), share(0.0000001), share(0.00002), share(0.5)]).toEqual(["none", "< 0.001%", "0.002%", "50%"]);
});

test("symbols are read however they are parted", () => {
  expect(symbolsIn(" btc-usdt, AAPL;eurusd=x\nAAPL ")).toEqual(["BTC-USDT", "AAPL", "EURUSD=X"]);
  expect(symbolsIn(" ")).toEqual([]);
});
