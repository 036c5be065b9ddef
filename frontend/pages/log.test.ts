import { expect, test } from "vitest";
import { add, closeMeaning, EMPTY, LINES_MAX, latencies, matching, rate, type Said } from "./log";

function heard(at: number, value: unknown): Said {
  return { at, direction: "in", text: typeof value === "string" ? value : JSON.stringify(value) };
}

const AT = Date.parse("2026-01-28T10:30:01.100Z");

test("a line knows its type, its size and how late it came", () => {
  const log = add(EMPTY, [heard(AT + 40, { type: "pong", timestamp: "2026-01-28T10:30:01.100Z" })], true);
  expect(log.lines[0]).toMatchObject({ type: "pong", latencyMs: 40, direction: "in", bytes: 54 });
  expect(log).toMatchObject({ received: 1, receivedBytes: 54, nextId: 2 });
});

test("what is no JSON, or has no time, is shown all the same", () => {
  const log = add(EMPTY, [heard(AT, "{"), heard(AT, { action: "ping" }), heard(AT, "null"), heard(AT, "5")], true);
  expect(log.lines.map(({ type, latencyMs }) => [type, latencyMs])).toEqual([
    ["", null],
    ["ping", null],
    ["", null],
    ["", null],
  ]);
});

test("only so many lines are kept, and the others counted", () => {
  const many = Array.from({ length: LINES_MAX + 5 }, (_, n) => heard(AT, { type: String(n) }));
  const log = add(EMPTY, many, true);
  expect([log.lines.length, log.dropped, log.lines[0]?.type]).toEqual([LINES_MAX, 5, "5"]);
});

test("while paused everything is counted and nothing shown", () => {
  const log = add(EMPTY, [heard(AT, { type: "a" })], false);
  expect([log.lines.length, log.received]).toEqual([0, 1]);
});

test("the rate is that of the last five seconds", () => {
  const log = add(EMPTY, [heard(AT - 9000, "1"), heard(AT - 1000, "2"), heard(AT, "3")], true);
  expect(rate(log, AT)).toBe(0.4);
  expect(rate(log, AT + 10_000)).toBe(0);
});

test("a filter wants all of its words, in any case", () => {
  const { lines } = add(EMPTY, [heard(AT, { type: "price", symbol: "BTC" }), heard(AT, { type: "price" })], true);
  expect(matching(lines, "PRICE btc")).toHaveLength(1);
  expect(matching(lines, "  ")).toHaveLength(2);
});

test("latencies of nothing are nothing", () => {
  expect(latencies([])).toBeNull();
  const stamp = "2026-01-28T10:30:01.100Z";
  const { lines } = add(
    EMPTY,
    [10, 30, 20].map((ms) => heard(AT + ms, { timestamp: stamp })),
    true,
  );
  expect(latencies(lines)).toEqual({ median: 20, worst: 30 });
});

test("close codes are told in words", () => {
  expect(closeMeaning(4001)).toBe("Sign in first");
  expect(closeMeaning(4099)).toBe("Don’t come back");
  expect(closeMeaning(4199)).toBe("Come back with backoff");
  expect(closeMeaning(3000)).toBe("");
});
