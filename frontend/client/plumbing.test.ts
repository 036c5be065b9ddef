import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Bounded } from "./buffer";
import { RealtimeClient } from "./client";
import { Meter } from "./meter";
import { PlainSocket } from "./plain";
import { poll, source } from "./polling";
import { MarketDataStream } from "./stream";

const AT = "2026-01-28T10:30:01.123456Z";

/** A socket in memory: the test says when it opens, what it brings, how it ends. */
class FakeSocket {
  static made: FakeSocket[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  readonly sent: { type: string; data: Record<string, unknown> }[] = [];
  readonly url: string;

  constructor(url: string) {
    this.url = url;
    FakeSocket.made.push(this);
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }

  close(): void {}

  greet(): void {
    this.onopen?.();
    this.bring({ type: "connection", data: { authenticated: false } });
  }

  bring(message: object): void {
    this.onmessage?.({ data: JSON.stringify({ timestamp: AT, ...message }) });
  }

  price(symbol: string, price: number): void {
    this.bring({ type: "asset_update", topic: `price:${symbol}`, data: { symbol, price } });
  }

  end(code = 1006): void {
    this.onclose?.({ code, reason: "" });
  }
}

const socket = (index = FakeSocket.made.length - 1) => FakeSocket.made[index] as FakeSocket;

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(0.5);
  vi.stubGlobal("WebSocket", FakeSocket);
  vi.stubGlobal("location", { protocol: "http:", host: "here:8000" });
  FakeSocket.made = [];
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

test("of what is bounded the oldest give way and are counted", () => {
  const buffer = new Bounded<number>(3);
  for (const item of [1, 2, 3, 4]) buffer.push(item);
  expect([buffer.all(), buffer.dropped]).toEqual([[2, 3, 4], 1]);
  expect([buffer.take(2), buffer.length]).toEqual([[2, 3], 1]);
});

test("a meter knows the rate of the last five seconds", () => {
  const meter = new Meter();
  for (let at = 0; at < 20_000; at += 100) meter.took(10, at);
  expect([meter.messages, meter.bytes, meter.rate(19_900)]).toEqual([200, 2000, 10]);
  expect(meter.rate(60_000)).toBe(0);
});

describe("polling", () => {
  test("each topic has its place over HTTP", () => {
    expect(source("price:EURUSD=X")?.path).toBe("/api/market/EURUSD%3DX/latest/");
    expect(source("candles:BTC:1m")?.path).toBe("/api/market/BTC/candles/?interval=1m&limit=1");
    expect(source("signals")).toBeNull();
  });

  test("brings the events that the socket would have brought", async () => {
    const answers: Record<string, unknown> = {
      "b/api/market/BTC/latest/": { symbol: "BTC", price: 5 },
      "b/api/market/BTC/trades/?limit=50": { results: [{ trade_id: 1 }], next: null },
      "b/api/market/BTC/candles/?interval=1m&limit=1": { results: [{ open: 1 }], next: null },
    };
    const fetch = async (url: string) => ({ ok: url in answers, json: async () => answers[url] });
    expect(await poll("price:BTC", "b", fetch, 0)).toMatchObject([{ type: "asset_update", data: { price: 5 } }]);
    expect(await poll("trades:BTC", "b", fetch, 0)).toMatchObject([
      { type: "trades", data: { symbol: "BTC", trades: [{ trade_id: 1 }] } },
    ]);
    expect(await poll("candles:BTC:1m", "b", fetch, 0)).toMatchObject([{ type: "candle", data: { open: 1 } }]);
    expect(await poll("book:BTC", "b", fetch, 0)).toEqual([]);
  });

  test("begins when sockets never get through, and ends when one does", async () => {
    const fetched: string[] = [];
    vi.stubGlobal("fetch", async (url: string) => {
      fetched.push(url);
      return { ok: true, json: async () => ({ symbol: "BTC", price: 7 }) };
    });
    const client = new RealtimeClient("ws://here:8000/ws/realtime/", { pollEveryMs: 1000 });
    const heard: unknown[] = [];
    client.subscribe("price:BTC", { event: ({ data }) => heard.push(data) });
    client.connect();
    for (let failure = 0; failure < 3; failure++) {
      socket().end();
      await vi.advanceTimersByTimeAsync(5000);
    }
    expect(client.metrics().polling).toBe(true);
    expect(fetched[0]).toBe("http://here:8000/api/market/BTC/latest/");
    expect(heard[0]).toEqual({ symbol: "BTC", price: 7 });
    socket().greet();
    const before = fetched.length;
    await vi.advanceTimersByTimeAsync(5000);
    expect([client.metrics().polling, fetched.length]).toEqual([false, before]);
    client.close();
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("any path", () => {
  test("what is said while there is no connection goes with the next one", () => {
    const heard: unknown[] = [];
    const plain = new PlainSocket("ws://x/ws/market/", { onMessage: (message) => heard.push(message) });
    plain.send({ type: "subscribe" });
    plain.connect();
    socket().onopen?.();
    expect([plain.isConnected, socket().sent]).toEqual([true, [{ type: "subscribe" }]]);
    socket().onmessage?.({ data: "not json" });
    expect(heard).toEqual(["not json"]);
  });

  test("it comes back, but not after a 40xx", () => {
    const plain = new PlainSocket("ws://x/");
    plain.connect();
    socket().end(1006);
    vi.advanceTimersByTime(60_000);
    expect(FakeSocket.made).toHaveLength(2);
    socket().end(4001);
    vi.advanceTimersByTime(60_000);
    expect(FakeSocket.made).toHaveLength(2);
    plain.close();
  });
});

describe("a stream of many symbols", () => {
  const symbols = Array.from({ length: 100 }, (_, n) => `S${n}`);

  test("spreads over connections, hands over in batches, the newest of each symbol", () => {
    const stream = new MarketDataStream({ maxConnections: 2, batchSize: 10, batchInterval: 100 });
    const batches: { symbol: string; price: number | null }[][] = [];
    stream.subscribe("grid", symbols, (updates) => batches.push(updates), "high");
    expect(FakeSocket.made).toHaveLength(2);
    for (const made of FakeSocket.made) made.greet();
    vi.advanceTimersByTime(20);
    const asked = socket(0).sent.find(({ type }) => type === "subscribe");
    expect(asked?.data).toMatchObject({ priority: "high", interval_ms: 100 });
    socket(0).price("S0", 1);
    socket(0).price("S0", 2);
    for (const symbol of symbols.slice(1, 15)) socket(0).price(symbol, 1);
    vi.advanceTimersByTime(100);
    expect(batches.map((batch) => batch.length)).toEqual([10]);
    expect(batches[0]?.[0]).toEqual({ symbol: "S0", price: 2 });
    vi.advanceTimersByTime(100);
    expect(batches.map((batch) => batch.length)).toEqual([10, 5]);
    expect(stream.getMetrics()).toMatchObject({
      connections: 2,
      connected: 2,
      symbols: 100,
      delivered: 15,
      dropped: 1,
    });
    stream.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  test("keeps to the rate", () => {
    const stream = new MarketDataStream({ batchInterval: 100, rateLimitPerSecond: 20 });
    let count = 0;
    stream.subscribe("one", symbols.slice(0, 40), (updates) => {
      count += updates.length;
    });
    socket().greet();
    for (let tick = 0; tick < 20; tick++) {
      for (const symbol of symbols.slice(0, 40)) socket().price(symbol, tick);
      vi.advanceTimersByTime(100);
    }
    expect(count).toBe(40);
    stream.close();
  });

  test("what is left is heard no more", () => {
    const stream = new MarketDataStream();
    const heard: unknown[] = [];
    const stop = stream.subscribe("one", ["A"], (updates) => heard.push(updates));
    socket().greet();
    stop();
    socket().price("A", 1);
    vi.advanceTimersByTime(1000);
    expect([heard, stream.getMetrics().subscribers]).toEqual([[], 0]);
    stream.close();
  });
});

test("metrics tell what was left out for us", () => {
  const client = new RealtimeClient("ws://x/ws/realtime/");
  client.connect();
  socket().greet();
  socket().bring({ type: "dropped", data: { "price:BTC": 4, "price:ETH": 1 } });
  expect(client.metrics()).toMatchObject({ dropped: 5, connected: true, messages: 2 });
  client.close();
});
