import { expect, test } from "vitest";
import {
  blank,
  body,
  complaint,
  draftOf,
  instrumentsOf,
  type Kind,
  type Parameter,
  parametersOf,
  rangeOf,
  refusedParameter,
  type Strategy,
  warmupOf,
} from "./strategies";

function parameter(changes: Partial<Parameter> = {}): Parameter {
  return { name: "period", default: 14, min: 2, max: 200, whole: true, description: "bars of the RSI", ...changes };
}

const RSI: Kind = {
  kind: "rsi_reversal",
  origin: "built-in",
  description: "",
  warmup: 388,
  parameters: [parameter(), parameter({ name: "low", default: 30, min: 1, max: 98, whole: false })],
};

const DIPS: Strategy = {
  id: 7,
  house: false,
  name: "Dips",
  kind: "rsi_reversal",
  key: "",
  parameters: { period: 7, low: 25.5 },
  interval: "4h",
  instruments: ["BTC-USD", "AAPL"],
  enabled: true,
  min_confidence: 60,
  notify: false,
  subscriptions: [],
  last_error: "",
  last_error_at: null,
};

test("a strategy comes back from its form as it went in", () => {
  expect(body(draftOf(DIPS))).toEqual({
    name: "Dips",
    kind: "rsi_reversal",
    parameters: { period: 7, low: 25.5 },
    interval: "4h",
    instruments: ["BTC-USD", "AAPL"],
    enabled: true,
    min_confidence: 60,
    notify: false,
  });
});

test("a new one has its kind's defaults, and follows the watchlists", () => {
  expect(body({ ...blank(RSI), name: "Mine" })).toMatchObject({
    parameters: { period: 14, low: 30 },
    instruments: "watched",
    min_confidence: 0,
  });
});

test("what is no number goes as it is, for the server to refuse", () => {
  const draft = { ...blank(RSI), parameters: { period: "many", low: "" }, confidence: "high" };
  expect(body(draft)).toMatchObject({ parameters: { period: "many", low: "" }, min_confidence: "high" });
});

test("what can't be is said while it is typed", () => {
  expect(complaint(parameter(), "14")).toBeUndefined();
  expect(complaint(parameter(), "1")).toBe("2 to 200.");
  expect(complaint(parameter(), "2.5")).toBe("A whole number is needed.");
  expect(complaint(parameter({ whole: false }), "2.5")).toBeUndefined();
  expect(complaint(parameter(), "")).toBe("A number is needed.");
  expect(complaint(parameter({ min: null, max: null }), "-1000")).toBeUndefined();
  expect([rangeOf(2, null), rangeOf(null, 5), rangeOf(null, null)]).toEqual(["At least 2", "At most 5", ""]);
});

test("a refused parameter is named at its field", () => {
  const names = ["period", "low"];
  expect(refusedParameter({ parameters: "low lies between 1 and 98." }, names)).toEqual({
    low: "low lies between 1 and 98.",
  });
  expect(refusedParameter({ parameters: "0 < low < high < 100, not 80 and 70" }, names)).toHaveProperty([""]);
  expect(refusedParameter({ name: "Taken." }, names)).toEqual({});
});

test("strategies in words", () => {
  expect(parametersOf({ fast: 5, target_ranges: 2.5 })).toBe("fast 5, target ranges 2.5");
  expect([instrumentsOf("all"), instrumentsOf(["A", "B"])]).toEqual(["every instrument", "A, B"]);
  expect(warmupOf(40, "1m")).toBe("40 bars, 40 min");
  expect(warmupOf(388, "1h")).toBe("388 bars, 16 days");
  expect(warmupOf(22, "1h")).toBe("22 bars, 22 h");
});
