/** Conditions as a form holds them, and as the server takes them. Pure, but for the keys of what is new. */

import { INTERVALS } from "./api";

/** One comparison, its fields as they were typed. negated: it counts while it is not so. */
export interface Part {
  key: number;
  negated: boolean;
  kind: Kind;
  fields: Record<string, string>;
}

/** Several, of which all or any must be. */
export interface Group {
  key: number;
  negated: boolean;
  group: "all" | "any";
  nodes: Node[];
}

export type Node = Part | Group;

/** raw: a condition that the form cannot show, as JSON; the root is empty then. The root itself is never negated. */
export interface Condition {
  root: Group;
  raw: string | null;
}

export const LEAVES_MAX = 50;

export interface FieldSpec {
  name: string;
  label: string;
  as:
    | "symbol"
    | "number"
    | "choice"
    | "portfolio"
    | "indicator"
    | "output"
    | "pattern"
    | "strategy"
    | "service"
    | "hidden";
  choices?: readonly (readonly [value: string, label: string])[];
  hint?: string;
  /** Only where it says so, for what else was chosen. */
  when?: (fields: Record<string, string>) => boolean;
}

const SYMBOL: FieldSpec = { name: "symbol", label: "Instrument", as: "symbol" };
const INTERVAL: FieldSpec = {
  name: "interval",
  label: "Bars of",
  as: "choice",
  choices: INTERVALS.map((each) => [each, each] as const),
};
const OP: FieldSpec = {
  name: "op",
  label: "Is",
  as: "choice",
  choices: [
    ["above", "above"],
    ["below", "below"],
    ["crosses_above", "crossing upwards"],
    ["crosses_below", "crossing downwards"],
    ["crosses", "crossing either way"],
  ],
};
const VALUE: FieldSpec = { name: "value", label: "Threshold", as: "number" };
const CLEAR: FieldSpec = {
  name: "clear",
  label: "Over again at",
  as: "number",
  hint: "Empty: at the threshold",
  when: ({ op }) => op !== "crosses",
};
const COMPARISON = [OP, VALUE, CLEAR];
const PORTFOLIO: FieldSpec = { name: "portfolio", label: "Portfolio", as: "portfolio" };
const CONFIDENCE: FieldSpec = {
  name: "min_confidence",
  label: "Confidence, at least",
  as: "number",
  hint: "0 to 100",
};

/** Each kind by its name, and the fields that it has. */
export const KINDS = {
  price: { label: "Price", unit: "price", fields: [SYMBOL, ...COMPARISON] },
  change_percent: {
    label: "Change in percent",
    unit: "%",
    fields: [
      SYMBOL,
      {
        name: "base",
        label: "Against",
        as: "choice",
        choices: [
          ["previous_close", "the previous close"],
          ["open", "the open"],
          ["minutes", "some minutes ago"],
          ["high_52w", "the 52-week high"],
          ["low_52w", "the 52-week low"],
          ["cost", "my cost"],
        ],
      },
      { name: "minutes", label: "Minutes ago", as: "number", when: ({ base }) => base === "minutes" },
      { ...PORTFOLIO, when: ({ base }) => base === "cost" },
      ...COMPARISON,
    ],
  },
  indicator: {
    label: "Indicator",
    unit: "",
    fields: [
      SYMBOL,
      { name: "name", label: "Indicator", as: "indicator", hint: "Such as rsi(14)" },
      { name: "output", label: "Line", as: "output" },
      INTERVAL,
      ...COMPARISON,
    ],
  },
  volume_zscore: {
    label: "Unusual volume",
    unit: "z",
    fields: [SYMBOL, INTERVAL, { name: "window", label: "Among bars", as: "number", hint: "Empty: 60" }, ...COMPARISON],
  },
  spread: {
    label: "Spread",
    unit: "bps",
    fields: [
      SYMBOL,
      {
        name: "unit",
        label: "In",
        as: "choice",
        choices: [
          ["bps", "basis points"],
          ["absolute", "its currency"],
        ],
      },
      ...COMPARISON,
    ],
  },
  portfolio: {
    label: "Portfolio",
    unit: "",
    fields: [
      PORTFOLIO,
      {
        name: "figure",
        label: "Measure",
        as: "choice",
        choices: [
          ["total_value", "total value"],
          ["daily_change", "change today"],
          ["daily_change_percent", "change today, %"],
          ["drawdown_percent", "drawdown, %"],
          ["weight", "weight of an instrument, %"],
        ],
      },
      { ...SYMBOL, when: ({ figure }) => figure === "weight" },
      ...COMPARISON,
    ],
  },
  signal: {
    label: "Signal of a strategy",
    unit: "",
    fields: [
      SYMBOL,
      { name: "strategy", label: "Strategy", as: "strategy", hint: "Empty: any" },
      // Which of one's own it is, whatever it is called by now.
      { name: "strategy_id", label: "Strategy", as: "hidden" },
      {
        name: "signal_type",
        label: "Says",
        as: "choice",
        choices: [
          ["", "anything"],
          ["BUY", "buy"],
          ["SELL", "sell"],
          ["HOLD", "hold"],
        ],
      },
      CONFIDENCE,
    ],
  },
  pattern: {
    label: "Chart pattern",
    unit: "",
    fields: [SYMBOL, { name: "name", label: "Pattern", as: "pattern" }, INTERVAL, CONFIDENCE],
  },
  sentiment: {
    label: "News sentiment",
    unit: "−1 to 1",
    fields: [SYMBOL, { name: "hours", label: "Over hours", as: "number", hint: "Empty: 24" }, ...COMPARISON],
  },
  staleness: { label: "Silence of a feed", unit: "s", fields: [SYMBOL, ...COMPARISON] },
  service: {
    label: "Trouble of the service",
    unit: "s",
    fields: [{ name: "part", label: "Part", as: "service", hint: "Such as feeds" }, ...COMPARISON],
  },
} as const satisfies Record<string, { label: string; unit: string; fields: readonly FieldSpec[] }>;

export type Kind = keyof typeof KINDS;

let lastKey = 0;

export function isGroup(node: Node): node is Group {
  return "nodes" in node;
}

/** The fields that a part has, for what was chosen in it so far. */
export function fieldsOf({ kind, fields }: Part): FieldSpec[] {
  const all: readonly FieldSpec[] = KINDS[kind].fields;
  return all.filter((field) => field.when === undefined || field.when(fields));
}

/** Whether its contrary can be asked for: that something does not cross or occur just now is no news. */
export function hasContrary(node: Node): boolean {
  if (isGroup(node)) return node.nodes.every(hasContrary);
  return node.kind !== "signal" && node.kind !== "pattern" && !node.fields.op?.startsWith("crosses");
}

/** What a new part begins with: what is given, else the first of what there is to choose from. */
export function blankPart(kind: Kind, given: Record<string, string | undefined> = {}): Part {
  const all: readonly FieldSpec[] = KINDS[kind].fields;
  const fields = Object.fromEntries(all.map((field) => [field.name, given[field.name] ?? firstChoice(field)]));
  return { key: ++lastKey, negated: false, kind, fields };
}

function firstChoice({ name, choices }: FieldSpec): string {
  return name === "interval" ? "1h" : (choices?.[0]?.[0] ?? "");
}

/** The part when it becomes one of another kind: what it is about, and how it compares, is taken over. */
export function ofKind(part: Part, kind: Kind): Part {
  const { symbol, portfolio, op, interval } = part.fields;
  const changed = { ...blankPart(kind, { symbol, portfolio, op, interval }), key: part.key };
  return { ...changed, negated: part.negated && hasContrary(changed) };
}

export function blankGroup(group: "all" | "any", nodes: Node[]): Group {
  return { key: ++lastKey, negated: false, group, nodes };
}

export function blankCondition(symbol: string): Condition {
  return { root: blankGroup("all", [blankPart("price", { symbol })]), raw: null };
}

export function leaves(node: Node): Part[] {
  return isGroup(node) ? node.nodes.flatMap(leaves) : [node];
}

// --- As the server takes it

/** What isn't a number goes as it is, for the server to refuse by name. Raises NoJson. */
export function written({ root, raw }: Condition): unknown {
  if (raw !== null) return parsed(raw);
  const [only] = root.nodes;
  return writtenNode(root.nodes.length === 1 && only !== undefined ? only : root);
}

export class NoJson extends Error {
  constructor() {
    super("The condition is no JSON.");
  }
}

export function parsed(raw: string): unknown {
  try {
    return JSON.parse(raw);
  } catch {
    throw new NoJson();
  }
}

function writtenNode(node: Node): unknown {
  const plain = isGroup(node) ? { [node.group]: node.nodes.map(writtenNode) } : writtenPart(node);
  return node.negated ? { not: plain } : plain;
}

function writtenPart(part: Part): Record<string, unknown> {
  const entries = fieldsOf(part)
    .map(({ name, as }) => [name, typed(part.fields[name] ?? "", as)] as const)
    .filter(([, value]) => value !== "");
  return { kind: part.kind, ...Object.fromEntries(entries) };
}

const NUMBERS: ReadonlySet<FieldSpec["as"]> = new Set(["number", "portfolio", "hidden"]);

function typed(text: string, as: FieldSpec["as"]): string | number {
  const value = text.trim();
  if (value === "" || !NUMBERS.has(as)) return value;
  const number = Number(value.replace("−", "-"));
  return Number.isFinite(number) ? number : value;
}

/** As a form can hold it. What is negated twice, or has a kind or a field that no form has, stays JSON. */
export function read(condition: unknown): Condition {
  const node = readNode(condition);
  if (node === null) return { root: blankGroup("all", []), raw: JSON.stringify(condition, null, 2) };
  return { root: isGroup(node) && !node.negated ? node : blankGroup("all", [node]), raw: null };
}

function readNode(value: unknown): Node | null {
  if (typeof value !== "object" || value === null) return null;
  const given = value as Record<string, unknown>;
  if ("not" in given) {
    const contrary = readNode(given.not);
    return contrary === null || contrary.negated ? null : { ...contrary, negated: true };
  }
  for (const group of ["all", "any"] as const) {
    const parts = given[group];
    if (Array.isArray(parts)) return readGroup(group, parts);
  }
  return readPart(given);
}

function readGroup(group: "all" | "any", parts: unknown[]): Group | null {
  const nodes = parts.map(readNode).filter((node) => node !== null);
  return nodes.length === parts.length ? blankGroup(group, nodes) : null;
}

function readPart({ kind, ...given }: Record<string, unknown>): Part | null {
  if (typeof kind !== "string" || !(kind in KINDS)) return null;
  const part = blankPart(kind as Kind);
  // Of what occurs there is nothing else to compare: its `op` may be left out.
  const texts = Object.entries(given).filter(([name, one]) => name in part.fields || one !== "occurs");
  if (!texts.every(([name]) => name in part.fields)) return null;
  return { ...part, fields: { ...part.fields, ...Object.fromEntries(texts.map(([name, one]) => [name, text(one)])) } };
}

function text(value: unknown): string {
  return value === null || value === undefined ? "" : String(value);
}

// --- Where the server names errors

/** `condition` for what stands alone, else `condition.all.0` and so on. */
export function rootPlaces({ root }: Condition): string[] {
  return root.nodes.length === 1 ? ["condition"] : placesUnder(root, "condition");
}

export function placesUnder({ group, nodes }: Group, place: string): string[] {
  return nodes.map((_, index) => `${place}.${group}.${index}`);
}

/** Where what is inside a `not` is. */
export function inside({ negated }: Node, place: string): string {
  return negated ? `${place}.not` : place;
}

/** All places at which the form can show what was refused. */
export function placesIn(condition: Condition): Set<string> {
  const places = rootPlaces(condition);
  return new Set(condition.root.nodes.flatMap((node, index) => placesOf(node, places[index] ?? "")));
}

function placesOf(node: Node, place: string): string[] {
  const within = inside(node, place);
  if (!isGroup(node)) {
    const shown = fieldsOf(node).filter(({ as }) => as !== "hidden");
    return [place, within, `${within}.kind`, ...shown.map(({ name }) => `${within}.${name}`)];
  }
  const below = placesUnder(node, within);
  return [place, within, ...node.nodes.flatMap((each, index) => placesOf(each, below[index] ?? ""))];
}

/** What a part's threshold is measured in. */
export interface Currencies {
  ofSymbol: (symbol: string) => string;
  ofPortfolio: (id: string) => string;
}

export function unitOf({ kind, fields }: Part, { ofSymbol, ofPortfolio }: Currencies): string {
  if (kind === "price" || (kind === "spread" && fields.unit === "absolute")) return ofSymbol(fields.symbol ?? "");
  if (kind === "portfolio")
    return /percent|weight/.test(fields.figure ?? "") ? "%" : ofPortfolio(fields.portfolio ?? "");
  return KINDS[kind].unit;
}
