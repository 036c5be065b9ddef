import { expect, test } from "vitest";
import type { Notification, Trade } from "../api";
import { NOTIFICATIONS_MAX, reduce } from "../hooks/notifications";
import { describe as describeConnection } from "./connection";
import { line } from "./sparkline";
import { mergeTrades, TRADES_MAX } from "./trades";
import { matches, spread, target } from "./watchlist";

function trade(id: number, second: number): Trade {
  return { price: 1, quantity: 1, side: "buy", trade_id: id, timestamp: new Date(second * 1000).toISOString() };
}

function notification(id: number, read = false): Notification {
  return {
    notification_id: `n${id}`,
    title: "",
    message: "",
    notification_type: "signal",
    priority: "normal",
    read,
    created_at: new Date(id * 1000).toISOString(),
  };
}

test("trades: newest first, each once, only so many", () => {
  const known = mergeTrades([], [trade(1, 1), trade(2, 2), trade(3, 2)]);
  expect(known.map((each) => each.trade_id)).toEqual([3, 2, 1]);
  expect(mergeTrades(known, [trade(2, 2), trade(4, 3)]).map((each) => each.trade_id)).toEqual([4, 3, 2, 1]);
  const many = Array.from({ length: 100 }, (_, index) => trade(index, index));
  expect(mergeTrades([], many)).toHaveLength(TRADES_MAX);
});

test("notifications: newest first, each once, only so many", () => {
  const many = Array.from({ length: NOTIFICATIONS_MAX + 5 }, (_, index) => notification(index));
  const list = reduce(reduce([], { kind: "loaded", notifications: many }), {
    kind: "came",
    notification: many[104] ?? notification(0),
  });
  expect(list).toHaveLength(NOTIFICATIONS_MAX);
  expect(list[0]?.notification_id).toBe("n104");
});

test("a notification read here stays read, though an older answer comes in later", () => {
  const loaded = reduce([], { kind: "loaded", notifications: [notification(1), notification(2)] });
  const read = reduce(loaded, { kind: "read", ids: ["n1"] });
  const again = reduce(read, { kind: "loaded", notifications: [notification(1), notification(2)] });
  expect(again.map((item) => [item.notification_id, item.read])).toEqual([
    ["n2", false],
    ["n1", true],
  ]);
});

test("the connection in words", () => {
  const waiting = { phase: "waiting", retryAt: 5000, attempt: 1 } as const;
  expect(describeConnection(waiting, true, 1200).words).toBe("Reconnecting in 4 s");
  expect(describeConnection(waiting, false, 1200).words).toBe("Offline");
  expect(describeConnection({ phase: "refused", code: 4001, reason: "" }, true, 0).words).toBe("Signed out");
});

test("the filter looks at symbol, name and kind, each word of it", () => {
  const apple = { symbol: "AAPL", name: "Apple", kind: "equity", currency: "USD" };
  expect(["", "aap", "apple eq", "EQUITY"].every((filter) => matches(apple, filter))).toBe(true);
  expect(matches(apple, "apple fx")).toBe(false);
});

test("arrow keys stay within the list", () => {
  expect([target("ArrowDown", 2, 3), target("ArrowUp", 0, 3), target("End", 0, 3), target("x", 0, 3)]).toEqual([
    2,
    0,
    2,
    null,
  ]);
});

test("a spread needs both sides", () => {
  const quote = {
    symbol: "",
    price: 1,
    change: null,
    change_percent: null,
    source: "",
    quality: "",
    venue_time: null,
    received_at: null,
  };
  expect(spread({ ...quote, bid: 99.995, ask: 100.005 })).toBe("1.0 bp");
  expect(spread({ ...quote, bid: null, ask: 100 })).toBe("–");
});

test("a sparkline fills its box, and a flat one lies in the middle", () => {
  expect(line([1, 2])).toBe("1.5,22.5 62.5,1.5");
  expect(line([5, 5])).toBe("1.5,12.0 62.5,12.0");
  expect(line([1])).toBe("");
});
