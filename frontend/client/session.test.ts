import { describe, expect, test } from "vitest";
import { type Effect, type Options, Session } from "./session";

const AT = "2026-01-28T10:30:01.123456Z";
const HALF = () => 0.5;
const CONNECTION = frame("connection", { status: "connected", connection_id: "c1", authenticated: true, user_id: 7 });

function frame(type: string, data: object, more: object = {}): string {
  return JSON.stringify({ type, data, timestamp: AT, ...more });
}

function notification(seq: number, epoch = "e1"): string {
  const data = { notification_id: `n${seq}`, title: "BUY BTC-USDT", message: "", priority: "normal", read: false };
  return frame("notification", data, { topic: "notifications", epoch, seq });
}

function price(value: number): string {
  return frame("asset_update", { symbol: "BTC-USDT", price: value }, { topic: "price:BTC-USDT" });
}

/** What is sent, without the times. */
function sent(effects: Effect[]): { type: string; data: Record<string, unknown>; id?: number }[] {
  return effects.flatMap((effect) => {
    if (effect.kind !== "send") return [];
    const { type, data, id } = JSON.parse(effect.text);
    return [{ type, data, id }];
  });
}

function words(effects: Effect[]): string[] {
  return sent(effects).map(({ type }) => type);
}

function events(effects: Effect[]): unknown[] {
  return effects.flatMap((effect) => (effect.kind === "event" ? [effect.event.data] : []));
}

/** A session at time 0 that has said hello; its first ping is answered after 20 ms. */
function live(topics: string[] = [], options: Partial<Options> = {}) {
  const session = new Session(HALF, options);
  session.connect(0);
  for (const topic of topics) session.want(topic, 0);
  const greeting = session.received(CONNECTION, 0);
  const ping = sent(greeting).find(({ type }) => type === "ping");
  session.received(frame("pong", {}, { id: ping?.id }), 20);
  return { session, greeting };
}

describe("subscribing", () => {
  test("everything wanted goes as one message once the server has said hello", () => {
    const { greeting } = live(["price:BTC-USDT", "notifications"]);
    expect(sent(greeting)[0]).toMatchObject({
      type: "subscribe",
      data: { topics: ["price:BTC-USDT", "notifications"], since: {}, interval_ms: 100, batch: true },
    });
  });

  test("later wishes are gathered for a moment", () => {
    const { session } = live();
    session.want("price:BTC-USDT", 1000);
    session.want("price:ETH-USDT", 1005);
    expect(session.wakeAt()).toBe(1010);
    expect(sent(session.tick(1010))[0]?.data.topics).toEqual(["price:BTC-USDT", "price:ETH-USDT"]);
  });

  test("a second listener costs nothing", () => {
    const { session } = live(["price:BTC-USDT"]);
    session.want("price:BTC-USDT", 1000);
    expect(sent(session.tick(2000))).toEqual([]);
  });

  test("the last listener's leaving ends the subscription after a while", () => {
    const { session } = live(["price:BTC-USDT"]);
    session.want("price:BTC-USDT", 100);
    session.release("price:BTC-USDT", 1000);
    expect(session.tick(9000)).toEqual([]);
    session.release("price:BTC-USDT", 9000);
    expect(session.wakeAt()).toBe(12_000);
    const effects = session.tick(12_000);
    expect(sent(effects)[0]).toMatchObject({ type: "unsubscribe", data: { topics: ["price:BTC-USDT"] } });
    expect(effects).toContainEqual({ kind: "forget", topic: "price:BTC-USDT" });
  });

  test("whoever comes back soon finds the subscription still there", () => {
    const { session } = live(["price:BTC-USDT"]);
    session.release("price:BTC-USDT", 1000);
    session.want("price:BTC-USDT", 2000);
    expect(session.tick(5000)).toEqual([]);
  });

  test("changes keep within the minute's budget, and none is lost", () => {
    const { session } = live([], { messagesPerMinute: 3, lingerMs: 0 });
    session.want("price:A", 100);
    expect(words(session.tick(110))).toEqual(["subscribe"]);
    session.want("price:B", 200);
    expect(words(session.tick(210))).toEqual(["subscribe"]);
    session.want("price:C", 300);
    expect(words(session.tick(310))).toEqual([]);
    expect(session.wakeAt()).toBe(20 + 30_000);
    expect(sent(session.tick(60_000))[0]?.data.topics).toEqual(["price:C"]);
  });
});

describe("events", () => {
  test("conflated ones are handed on as they come, from a batch too", () => {
    const { session } = live(["price:BTC-USDT"]);
    const batch = frame("batch", { events: [JSON.parse(price(1)), JSON.parse(price(2))] });
    expect(events(session.received(batch, 100))).toMatchObject([{ price: 1 }, { price: 2 }]);
  });

  test("a lossless one that is known already is left out", () => {
    const { session } = live(["notifications"]);
    expect(events(session.received(notification(5), 100))).toHaveLength(1);
    expect(events(session.received(notification(5), 100))).toHaveLength(0);
    expect(events(session.received(notification(4), 100))).toHaveLength(0);
    expect(events(session.received(notification(6), 100))).toHaveLength(1);
  });

  test("a hole is asked for, from the last one known", () => {
    const { session } = live(["notifications"]);
    session.received(notification(5), 100);
    const effects = session.received(notification(8), 200);
    expect(events(effects)).toEqual([]);
    expect(words(effects)).toEqual(["unsubscribe"]);
    expect(sent(session.tick(210))[0]?.data).toMatchObject({
      topics: ["notifications"],
      since: { notifications: { epoch: "e1", seq: 5 } },
    });
    const replay = [6, 7, 8].flatMap((seq) => session.received(notification(seq), 300));
    expect(events(replay)).toMatchObject([
      { notification_id: "n6" },
      { notification_id: "n7" },
      { notification_id: "n8" },
    ]);
  });

  test("answers and reports are no events", () => {
    const { session } = live(["price:BTC-USDT"]);
    expect([frame("unsubscribed", { topics: [] }), "not JSON"].flatMap((text) => session.received(text, 100))).toEqual(
      [],
    );
    const report = frame("dropped", { "price:BTC-USDT": 3, "price:ETH-USDT": 1 });
    expect(session.received(report, 100)).toEqual([{ kind: "dropped", count: 4 }]);
  });

  test("what is shown is asked for first, and told so", () => {
    const session = new Session(HALF);
    session.connect(0);
    session.want("price:HIDDEN", 0, "low");
    session.want("price:A", 0);
    session.want("price:SHOWN", 0, "high");
    const asked = sent(session.received(CONNECTION, 0)).filter(({ type }) => type === "subscribe");
    expect(asked.map(({ data }) => [data.topics, data.priority])).toEqual([
      [["price:SHOWN"], "high"],
      [["price:A"], undefined],
      [["price:HIDDEN"], "low"],
    ]);
    session.want("price:HIDDEN", 100, "high");
    const again = sent(session.tick(session.wakeAt())).filter(({ type }) => type === "subscribe");
    expect(again.map(({ data }) => [data.topics, data.priority])).toEqual([[["price:HIDDEN"], "high"]]);
  });

  test("a refusal is told in the server's words", () => {
    const { session } = live();
    const error = frame("error", { code: 4004, message: "There is no topic “x”.", retry: false }, { topic: "x" });
    expect(session.received(error, 100)).toEqual([{ kind: "refusal", code: 4004, message: "There is no topic “x”." }]);
  });
});

describe("coming back", () => {
  test("waits by full jitter, longer each time, and never gives up", () => {
    const session = new Session(HALF);
    session.connect(0);
    const waits = Array.from({ length: 9 }, () => {
      session.closed(1006, "", 0);
      return session.wakeAt();
    });
    expect(waits).toEqual([250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000]);
    expect(session.status).toMatchObject({ phase: "waiting", retryAt: 10_000 });
    expect(session.tick(10_000)[0]).toEqual({ kind: "connect" });
  });

  test("a connection that held begins the backoff anew, one that did not goes on", () => {
    const { session } = live();
    session.closed(1006, "", 6000);
    expect(session.status).toMatchObject({ attempt: 0 });
    session.tick(7000);
    session.received(CONNECTION, 7000);
    session.closed(4101, "restarting", 7100);
    expect(session.status).toMatchObject({ attempt: 1 });
  });

  test.each([4000, 4001, 4003, 4004, 4029])("%d ends it", (code) => {
    const { session } = live();
    expect(session.closed(code, "why", 1000)).toEqual([
      { kind: "status", status: { phase: "refused", code, reason: "why" } },
    ]);
    expect(session.wakeAt()).toBe(Number.POSITIVE_INFINITY);
  });

  test("subscribes to everything again, lossless topics from where they stood", () => {
    const { session } = live(["price:BTC-USDT", "notifications"]);
    session.received(notification(5), 100);
    session.closed(1012, "", 200);
    session.tick(1000);
    const [subscribe] = sent(session.received(CONNECTION, 1100));
    expect(subscribe?.data).toMatchObject({
      topics: ["price:BTC-USDT", "notifications"],
      since: { notifications: { epoch: "e1", seq: 5 } },
    });
  });

  test("a position from `subscribed` counts where no event has come yet", () => {
    const { session } = live(["notifications"]);
    session.received(frame("subscribed", { topics: { notifications: { epoch: "e1", seq: 9 } } }), 100);
    session.closed(1006, "", 200);
    session.tick(1000);
    expect(sent(session.received(CONNECTION, 1100))[0]?.data.since).toEqual({ notifications: { epoch: "e1", seq: 9 } });
  });

  test("recovered: the replay is all there is to say", () => {
    const { session } = live(["notifications"]);
    session.received(notification(5), 100);
    const answer = frame("subscribed", { topics: { notifications: { epoch: "e1", seq: 6, recovered: true } } });
    expect(session.received(answer, 200)).toEqual([]);
    expect(events(session.received(notification(6), 200))).toHaveLength(1);
  });

  test("not recovered: listeners read their state anew, and the new epoch counts", () => {
    const { session } = live(["notifications"]);
    session.received(notification(5), 100);
    const answer = frame("subscribed", { topics: { notifications: { epoch: "e2", seq: 1, recovered: false } } });
    expect(session.received(answer, 200)).toEqual([{ kind: "reset", topic: "notifications" }]);
    expect(events(session.received(notification(2, "e2"), 300))).toHaveLength(1);
  });
});

describe("heartbeat", () => {
  test("the first ping tells latency and the server's clock", () => {
    const session = new Session(HALF);
    const now = Date.parse(AT) - 5000;
    session.connect(now);
    const [ping] = sent(session.received(CONNECTION, now));
    session.received(frame("pong", {}, { id: ping?.id }), now + 40);
    expect(session.status).toMatchObject({ phase: "live", latencyMs: 40, clockOffsetMs: 4980 });
  });

  test("each 30 s, and silence after it drops the connection", () => {
    const { session } = live();
    expect(session.wakeAt()).toBe(30_020);
    expect(words(session.tick(30_020))).toEqual(["ping"]);
    expect(session.wakeAt()).toBe(40_020);
    expect(session.tick(40_020)).toEqual([{ kind: "drop" }]);
    session.closed(1006, "silent", 40_020);
    expect(session.status).toMatchObject({ phase: "waiting" });
  });

  test("a server that never says hello is dropped too", () => {
    const session = new Session(HALF);
    session.connect(0);
    expect(session.tick(10_000)).toEqual([{ kind: "drop" }]);
  });
});

describe("messages without a connection", () => {
  test("wait, and go once there is one", () => {
    const session = new Session(HALF);
    session.connect(0);
    expect(session.send("mark_read", { notification_ids: ["n1"] }, 0)).toEqual([]);
    expect(sent(session.received(CONNECTION, 100))[0]).toMatchObject({
      type: "mark_read",
      data: { notification_ids: ["n1"] },
    });
  });

  test("are bounded: the oldest fall out", () => {
    const session = new Session(HALF, { queueMax: 2 });
    session.connect(0);
    for (const id of ["n1", "n2", "n3"]) session.send("mark_read", { notification_ids: [id] }, 0);
    const told = sent(session.received(CONNECTION, 100)).filter(({ type }) => type === "mark_read");
    expect(told.map(({ data }) => data.notification_ids)).toEqual([["n2"], ["n3"]]);
  });
});
