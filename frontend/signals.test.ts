import { expect, test } from "vitest";
import { type Article, isLink, joined } from "./news";
import {
  away,
  basisOf,
  EVERYTHING,
  matches,
  merged,
  type Outcome,
  query,
  remaining,
  resultOf,
  rewardToRisk,
  type Signal,
  statusOf,
} from "./signals";

const NOW = Date.parse("2026-03-02T12:00:00Z");

function signal(changes: Partial<Signal> = {}): Signal {
  return {
    signal_id: "7",
    symbol: "BTC-USDT",
    signal_type: "BUY",
    strength: "STRONG",
    confidence_score: 78,
    confidence_basis: "heuristic",
    strategy: "sma_cross",
    private: false,
    interval: "1m",
    entry_price: 100,
    target_price: 103,
    stop_loss: 98,
    time: "2026-03-02T11:58:00Z",
    expires_at: "2026-03-02T12:20:00Z",
    status: "ACTIVE",
    ...changes,
  };
}

function outcome(changes: Partial<Outcome>): Outcome {
  return { result: "stop", reason: null, gapped: false, undecided: false, ...changes } as Outcome;
}

test("a new signal comes to the front, a known one is replaced in its place", () => {
  const list = [signal({ signal_id: "8" }), signal()];
  expect(merged(list, signal({ signal_id: "9" }), true).map(({ signal_id }) => signal_id)).toEqual(["9", "8", "7"]);
  expect(merged(list, signal({ status: "TARGET" }), true)[1]?.status).toBe("TARGET");
});

test("what a subscription begins with only fills up what is newer than the list", () => {
  const list = [signal({ signal_id: "8" })];
  expect(merged(list, signal({ signal_id: "3" }), false)).toBe(list);
  expect(merged(list, signal({ signal_id: "10" }), false)).toHaveLength(2);
  expect(merged([], signal(), false)).toHaveLength(1);
});

test("a signal ends once, whoever still calls it active", () => {
  const list = [signal({ status: "STOP" })];
  expect(merged(list, signal(), true)[0]?.status).toBe("STOP");
});

test("what is over has expired, though nobody has said so", () => {
  expect(statusOf(signal(), NOW)).toBe("ACTIVE");
  expect(statusOf(signal(), NOW + 1_200_000)).toBe("EXPIRED");
  expect(statusOf(signal({ status: "TARGET" }), NOW + 1_200_000)).toBe("TARGET");
  expect(statusOf(signal({ expires_at: null }), NOW)).toBe("ACTIVE");
  expect(remaining(signal(), NOW)).toBe("for 20 min more");
  expect(remaining(signal({ status: "STOP" }), NOW)).toBeNull();
});

test("a filter asks the server for what it lets through here", () => {
  const filter = {
    ...EVERYTHING,
    symbol: "BTC-USDT",
    type: "BUY",
    confidence: "70",
    when: "active",
    whose: "own",
  } as const;
  expect(query(filter).toString()).toBe(
    "symbol=BTC-USDT&signal_type=BUY&min_confidence=70&status=ACTIVE&private=true&limit=40",
  );
  expect(query(EVERYTHING).toString()).toBe("limit=40");
  expect(matches(signal({ private: true }), filter, NOW)).toBe(true);
  for (const other of [{ symbol: "ETH-USDT" }, { signal_type: "SELL" }, { confidence_score: 69 }, { status: "STOP" }]) {
    expect(matches(signal({ private: true, ...(other as Partial<Signal>) }), filter, NOW)).toBe(false);
  }
  expect(matches(signal(), { ...EVERYTHING, when: "over" }, NOW)).toBe(false);
  expect(matches(signal(), { ...EVERYTHING, when: "over" }, NOW + 1_200_000)).toBe(true);
});

test("what confidence rests on", () => {
  expect(basisOf("calibrated hit rate of 57 signals")).toMatchObject({ calibrated: true, word: "calibrated" });
  expect(basisOf("calibrated hit rate of 57 signals").sentence).toContain("57 earlier signals");
  expect(basisOf("heuristic")).toMatchObject({ calibrated: false, word: "heuristic" });
  expect(basisOf("the sender's").word).toBe("the sender's");
});

test("levels against the entry", () => {
  expect(away(100, 103)).toBeCloseTo(3);
  expect(away(100, null)).toBeNull();
  expect(rewardToRisk(signal())).toBeCloseTo(1.5);
  expect(rewardToRisk(signal({ stop_loss: null }))).toBeNull();
});

test("what became of a signal, in a sentence", () => {
  expect(resultOf(outcome({ result: "target" }))).toBe("Target reached.");
  expect(resultOf(outcome({ gapped: true }))).toBe("Stopped out, at the open beyond the stop.");
  expect(resultOf(outcome({ undecided: true }))).toContain("counted as stopped out");
  expect(resultOf(outcome({ result: "skipped", reason: "split" }))).toContain("a split lies between");
  expect(resultOf(outcome({ result: null }))).toBe("Still open.");
});

test("a story told anew takes its older telling's place", () => {
  const story = (id: string, minute: number, headline = "") =>
    ({ id, headline, published_at: `2026-03-02T12:0${minute}:00Z` }) as Article;
  const list = joined([story("a", 1), story("b", 3)], [story("c", 2), story("a", 1, "anew")]);
  expect(list.map(({ id, headline }) => [id, headline])).toEqual([
    ["b", ""],
    ["c", ""],
    ["a", "anew"],
  ]);
});

test("only addresses of the web are links", () => {
  expect([isLink("https://example.com/a"), isLink("javascript:alert(1)"), isLink("")]).toEqual([true, false, false]);
});
