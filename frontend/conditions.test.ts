import { expect, test } from "vitest";
import { type Alert, figures, isNamed, next, often } from "./alerts";
import { called, outputsOf } from "./components/condition-fields";
import { times } from "./components/dry-run";
import {
  blankCondition,
  blankGroup,
  blankPart,
  type Condition,
  fieldsOf,
  hasContrary,
  KINDS,
  type Kind,
  leaves,
  type Node,
  ofKind,
  type Part,
  placesIn,
  read,
  unitOf,
  written,
} from "./conditions";
import { blankDraft, body, changes, draftOf, pastBody } from "./draft";
import { HttpError, refusalsOf, restOf } from "./http";

const PRICE = { kind: "price", symbol: "BTC-USD", op: "above", value: 70000, clear: 69500 };
const RSI = { kind: "indicator", symbol: "BTC-USD", name: "rsi(14)", interval: "1h", op: "below", value: 30 };
const CURRENCIES = { ofSymbol: () => "USD", ofPortfolio: () => "EUR" };

const ALERT: Alert = {
  id: 1,
  name: "BTC-USD above 70,000",
  symbol: null,
  condition: PRICE,
  description: "BTC-USD above 70,000",
  mode: "every",
  interval: "",
  confirmations: 1,
  cooldown_s: 600,
  escalating: false,
  at_once: true,
  expires_at: null,
  snoozed_until: null,
  session: "any",
  priority: "normal",
  note: "",
  status: "armed",
  reason: "",
  armed: true,
  cooling_until: null,
  generation: 0,
  last_fired_at: null,
  currency: "USD",
};

function condition(...nodes: Node[]): Condition {
  return { root: blankGroup("all", nodes), raw: null };
}

function withFields(part: Part, fields: Record<string, string>): Part {
  return { ...part, fields: { ...part.fields, ...fields } };
}

test("a condition comes out of the form as it went in", () => {
  for (const one of [
    PRICE,
    RSI,
    { not: PRICE },
    { all: [PRICE, RSI] },
    { any: [RSI, PRICE, RSI] },
    { all: [PRICE, { any: [RSI, { not: { all: [PRICE, RSI] } }] }] },
    { not: { any: [PRICE, RSI] } },
    { kind: "signal", symbol: "BTC-USD", strategy: "sma_cross", signal_type: "BUY", min_confidence: 60 },
    { kind: "signal", symbol: "BTC-USD", strategy: "Dips", strategy_id: 17 },
    { kind: "service", part: "feeds", op: "above", value: 60 },
  ]) {
    expect(read(one).raw).toBeNull();
    expect(written(read(one))).toEqual(one);
  }
});

test("what occurs needs no op", () => {
  const pattern = { kind: "pattern", symbol: "BTC-USD", name: "doji", interval: "1h" };
  expect(written(read({ ...pattern, op: "occurs" }))).toEqual(pattern);
});

test("what the form can't show stays as it was written", () => {
  for (const one of [{ not: { not: PRICE } }, { ...PRICE, more: 1 }, { kind: "unheard" }, { all: [PRICE, 1] }, 7]) {
    expect(read(one).raw).not.toBeNull();
    expect(written(read(one))).toEqual(one);
  }
});

test("every kind is about something, and a blank part names no threshold", () => {
  for (const kind of Object.keys(KINDS) as Kind[]) {
    const part = blankPart(kind, { symbol: "AAPL" });
    const names = fieldsOf(part).map(({ name }) => name);
    expect(names.some((name) => ["symbol", "portfolio", "part"].includes(name))).toBe(true);
    expect(part.fields.value ?? "").toBe("");
  }
});

test("fields follow what was chosen, and numbers are numbers unless they are none", () => {
  const part = blankPart("change_percent", { symbol: "AAPL" });
  expect(fieldsOf(part).map(({ name }) => name)).not.toContain("minutes");
  const chosen = withFields(part, { base: "minutes", minutes: "5", value: "−2", clear: "x" });
  expect(written(condition(chosen))).toEqual({
    kind: "change_percent",
    symbol: "AAPL",
    base: "minutes",
    minutes: 5,
    op: "above",
    value: -2,
    clear: "x",
  });
  expect(unitOf(chosen, CURRENCIES)).toBe("%");
  expect(unitOf(blankPart("price"), CURRENCIES)).toBe("USD");
  expect(unitOf(blankPart("portfolio"), CURRENCIES)).toBe("EUR");
});

test("another kind takes over what it is about, but no threshold and no contrary that it can't have", () => {
  const price = { ...withFields(blankPart("price", { symbol: "AAPL" }), { op: "below", value: "5" }), negated: true };
  const spread = ofKind(price, "spread");
  expect(spread).toMatchObject({ key: price.key, negated: true, fields: { symbol: "AAPL", op: "below", value: "" } });
  expect(ofKind(price, "pattern").negated).toBe(false);
  expect(hasContrary(withFields(price, { op: "crosses" }))).toBe(false);
  expect(hasContrary(blankGroup("any", [price, blankPart("signal")]))).toBe(false);
});

test("errors go to the part that they name, however deep", () => {
  const said = { condition: ["condition.all[1].clear: Lies on the wrong side: above 1 is over again below it."] };
  const place = "condition.all.1.clear";
  expect(refusalsOf(said)).toEqual({ [place]: "Lies on the wrong side: above 1 is over again below it." });
  expect(placesIn(condition(blankPart("price"), blankPart("price")))).toContain(place);
  expect(placesIn(blankCondition("A"))).toContain("condition.value");

  const deep = condition(blankPart("price"), {
    ...blankGroup("any", [{ ...blankPart("indicator"), negated: true }]),
    negated: true,
  });
  expect(placesIn(deep)).toContain("condition.all.1.not.any.0.not.name");
});

test("refusals are flattened, and those that no field shows stand at the foot", () => {
  const nested = { quiet_hours: { "0": { start: ["No."] } }, config: { url: ["Only https:// is called."] } };
  expect(refusalsOf(nested)).toEqual({ "quiet_hours.0.start": "No.", "config.url": "Only https:// is called." });
  expect(refusalsOf({ detail: "Too many." })).toEqual({ detail: "Too many." });

  const error = new HttpError(400, { name: ["Too long."], symbol: ["There is none."] });
  expect(error.message).toBe("Too long. There is none.");
  expect(restOf(error.message, error.refusals, new Set())).toBe("Too long. There is none.");
  expect(restOf(error.message, error.refusals, new Set(["name"]))).toBe(
    "Not saved: see what is marked above. There is none.",
  );
  expect(new HttpError(503, { detail: "A store is away." }).message).toBe("The server could not answer (503).");
});

test("a form's body is what the server takes, and a draft of an alert is that alert", () => {
  const draft = draftOf({ ...ALERT, expires_at: "2027-01-01T00:00:00.000Z" });
  expect(body(draft)).toMatchObject({
    condition: PRICE,
    name: "",
    cooldown_s: 600,
    confirmations: 1,
    expires_at: "2027-01-01T00:00:00.000Z",
    interval: null,
  });
  expect(body(draft)).not.toHaveProperty("symbol");
  expect(pastBody(draft).expires_at).toBeNull();
  expect(body({ ...blankDraft("A"), confirmations: "two", cooldownMinutes: "" })).toMatchObject({
    confirmations: "two",
    cooldown_s: 0,
  });
  expect(body({ ...blankDraft("A"), mode: "once" })).toMatchObject({ cooldown_s: 0, escalating: false });
});

test("a change names only what is another now", () => {
  const draft = draftOf({
    ...ALERT,
    condition: { all: [PRICE] },
    expires_at: "2026-01-01T00:00:30Z",
    symbol: "BTC-USD",
  });
  expect(changes(draft, draft)).toEqual({});
  expect(changes(draft, { ...draft, note: "Sell." })).toEqual({ note: "Sell." });
  const [part] = leaves(draft.condition.root);
  if (part === undefined) throw new Error("there is one part");
  const higher = { ...draft, condition: condition(withFields(part, { value: "71000" })) };
  expect(changes(draft, higher)).toEqual({ condition: { ...PRICE, value: 71000 } });
});

test("what comes next, in words", () => {
  const now = Date.parse("2026-11-21T12:00:00Z");
  const cooling = { ...ALERT, cooling_until: "2026-11-21T12:05:00Z", armed: false };
  expect(next(ALERT, now)).toBe("Watching");
  expect(next(cooling, now)).toBe("Cooling for 5 min");
  expect(next(cooling, now + 3_600_000)).toBe("Watching");
  expect(next({ ...ALERT, armed: false }, now)).toBe("Waits until it is over");
  expect(next({ ...ALERT, status: "broken", reason: "BTC-USD is gone." }, now)).toBe("BTC-USD is gone.");
  expect(often(ALERT)).toBe("Each time, at most every 10 min");
  expect(often({ ...ALERT, mode: "once" })).toBe("Once");
});

test("what an alert is called, and what it saw", () => {
  const long = `${"BTC-USD above 1 and ".repeat(8)}BTC-USD above 1`;
  expect(isNamed(ALERT)).toBe(false);
  expect(isNamed({ ...ALERT, name: "Sell" })).toBe(true);
  expect(isNamed({ ...ALERT, description: long, name: `${long.slice(0, 119)}…` })).toBe(false);
  expect(figures({ "BTC-USD": 70012.5, "BTC-USD RSI(14) 1h": 28.412345678 })).toBe(
    "BTC-USD 70,012.5 · BTC-USD RSI(14) 1h 28.412346",
  );
});

test("indicators by their names and lines, and how often it would have fired", () => {
  const macd = {
    name: "macd",
    variant: "",
    outputs: ["macd", "signal"],
    parameters: [
      { name: "fast", default: 12 },
      { name: "slow", default: 26 },
    ],
  };
  expect(called(macd)).toBe("macd(12,26)");
  expect(called({ ...macd, parameters: [] })).toBe("macd");
  expect(outputsOf("MACD (5,10)", [macd])).toEqual(["macd", "signal"]);
  expect(outputsOf("unheard(1)", [macd])).toEqual([]);
  expect([0, 1, 1200].map(times)).toEqual([
    "It would not have fired",
    "It would have fired once",
    "It would have fired 1,200 times",
  ]);
});
