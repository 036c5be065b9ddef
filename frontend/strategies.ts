/** Strategies: the house's, one's own, and the kinds that these are made of, as `/api/strategies/` tells them. */

import { INTERVALS, type Interval } from "./api";
import { quantity } from "./format";
import { get, type Page, type Refusals } from "./http";
import { symbolsIn } from "./symbols";

export interface Parameter {
  name: string;
  default: number;
  min: number | null;
  max: number | null;
  whole: boolean;
  description: string;
}

export interface Kind {
  kind: string;
  origin: "built-in" | "file";
  description: string;
  /** Bars, with its defaults. */
  warmup: number;
  parameters: Parameter[];
}

export interface Strategy {
  /** A number for one's own, a name for one of the house's. */
  id: number | string;
  house: boolean;
  name: string;
  kind: string;
  key: string;
  parameters: Record<string, number>;
  interval: Interval;
  instruments: "all" | "watched" | string[];
  enabled: boolean;
  min_confidence: number;
  /** Whether the user is told of its signals. */
  notify: boolean;
  subscriptions: { strategy: string; symbol: string | null }[];
  last_error: string;
  last_error_at: string | null;
}

export interface Strategies extends Page<Strategy> {
  kinds: Kind[];
}

export async function getStrategies(signal: AbortSignal): Promise<Strategies> {
  const told = await get<Strategies>("/api/strategies/", signal);
  // Their descriptions are written for readers of code, with names in backquotes.
  const kinds = told.kinds.map((kind) => ({ ...kind, description: kind.description.replaceAll("`", "") }));
  return { ...told, kinds };
}

/** One's own strategy as its form holds it: everything as it was typed. */
export interface Draft {
  name: string;
  kind: string;
  parameters: Record<string, string>;
  interval: Interval;
  watched: boolean;
  symbols: string;
  confidence: string;
  notify: boolean;
  enabled: boolean;
}

/** A new one of the kind, with its defaults. Pure, as all below. */
export function blank(kind: Kind): Draft {
  return {
    name: "",
    kind: kind.kind,
    parameters: defaults(kind),
    interval: "1h",
    watched: true,
    symbols: "",
    confidence: "0",
    notify: true,
    enabled: true,
  };
}

/** One's own as it is. */
export function draftOf(strategy: Strategy): Draft {
  const { name, kind, parameters, interval, instruments, min_confidence, notify, enabled } = strategy;
  return {
    name,
    kind,
    parameters: Object.fromEntries(Object.entries(parameters).map(([each, value]) => [each, String(value)])),
    interval,
    watched: !Array.isArray(instruments),
    symbols: Array.isArray(instruments) ? instruments.join(", ") : "",
    confidence: String(min_confidence),
    notify,
    enabled,
  };
}

export function defaults({ parameters }: Kind): Record<string, string> {
  return Object.fromEntries(parameters.map((each) => [each.name, String(each.default)]));
}

/** The body that makes or changes it. What is no number goes as it is, for the server to refuse by name. */
export function body(draft: Draft): Record<string, unknown> {
  const { watched, symbols, confidence, parameters, ...plain } = draft;
  return {
    ...plain,
    parameters: Object.fromEntries(Object.entries(parameters).map(([name, text]) => [name, number(text)])),
    instruments: watched ? "watched" : symbolsIn(symbols),
    min_confidence: confidence.trim() === "" ? 0 : number(confidence),
  };
}

function number(text: string): number | string {
  const value = Number(text);
  return text.trim() === "" || Number.isNaN(value) ? text : value;
}

/** What is wrong with what was typed, before anybody is asked; undefined where nothing is. */
export function complaint({ min, max, whole }: Parameter, text: string): string | undefined {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) return "A number is needed.";
  if (whole && !Number.isInteger(value)) return "A whole number is needed.";
  if ((min !== null && value < min) || (max !== null && value > max)) return `${rangeOf(min, max)}.`;
  return undefined;
}

/** "2 to 200", "At least 2"; empty where nothing is said. */
export function rangeOf(min: number | null, max: number | null): string {
  if (min !== null && max !== null) return `${quantity(min)} to ${quantity(max)}`;
  if (min !== null) return `At least ${quantity(min)}`;
  return max === null ? "" : `At most ${quantity(max)}`;
}

/** The server refuses parameters in one sentence: whose it is, where it begins with one's name. */
export function refusedParameter(refusals: Refusals, names: string[]): Refusals {
  const sentence = refusals.parameters;
  if (sentence === undefined) return {};
  const name = names.find((each) => sentence.startsWith(`${each} `));
  return { [name ?? ""]: sentence };
}

/** `fast 5, slow 20`: what tells it from others of its kind. */
export function parametersOf(parameters: Record<string, number>): string {
  return Object.entries(parameters)
    .map(([name, value]) => `${spoken(name)} ${quantity(value)}`)
    .join(", ");
}

/** `target_ranges` → "target ranges". */
export function spoken(name: string): string {
  return name.replaceAll("_", " ");
}

export function instrumentsOf(instruments: Strategy["instruments"]): string {
  if (instruments === "all") return "every instrument";
  if (instruments === "watched") return "what is on your watchlists";
  return instruments.join(", ");
}

/** How long its warm-up takes at an interval: "20 bars, 20 min". */
export function warmupOf(bars: number, interval: Interval): string {
  const minutes = bars * MINUTES[interval];
  const took =
    minutes < 120
      ? `${minutes} min`
      : minutes < 2 * 1440
        ? `${Math.round(minutes / 60)} h`
        : `${Math.round(minutes / 1440)} days`;
  return `${quantity(bars)} bars, ${took}`;
}

const MINUTES: Record<Interval, number> = { "1m": 1, "5m": 5, "15m": 15, "1h": 60, "4h": 240, "1d": 1440 };

export const INTERVAL_CHOICES = INTERVALS.map((interval) => [interval, interval] as const);
