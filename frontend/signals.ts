/** Signals, as `/api/signals/` and the topics `signals` and `own-signals` tell them, and what became of them. */

import type { Interval } from "./api";
import { age, quantity } from "./format";
import { get, getAll, type Page, samePath } from "./http";

export type SignalType = "BUY" | "SELL" | "HOLD";
export type SignalStatus = "ACTIVE" | "EXPIRED" | "SUPERSEDED" | "TARGET" | "STOP";

/** One that was made outside the installation tells less: it has neither an interval nor a reason, and is not kept. */
export interface Signal {
  signal_id: string;
  symbol: string;
  signal_type: SignalType;
  strength: "WEAK" | "MODERATE" | "STRONG";
  confidence_score: number;
  confidence_basis?: string;
  strategy: string;
  strategy_key?: string;
  private?: boolean;
  interval?: Interval;
  entry_price: number | null;
  target_price: number | null;
  stop_loss: number | null;
  reason?: string;
  time: string;
  expires_at: string | null;
  status: SignalStatus;
  status_at?: string | null;
  supersedes?: string | null;
}

export interface Outcome {
  signal_id: string;
  result: "target" | "stop" | "expired" | "skipped" | null;
  reason: string | null;
  at: string | null;
  exit_price: number | null;
  return_percent: number | null;
  return_r: number | null;
  mfe_percent: number | null;
  mfe_r: number | null;
  mae_percent: number | null;
  mae_r: number | null;
  bars_held: number | null;
  gapped: boolean | null;
  undecided: boolean | null;
}

interface Counts {
  n: number;
  hits: number;
  stops: number;
  expired: number;
  skipped: number;
  undecided: number;
  hit_rate: number | null;
  hit_rate_low: number | null;
  hit_rate_high: number | null;
  is_calibrated: boolean;
  mean_r: number | null;
  expectancy_percent: number | null;
  median_bars: number | null;
  mfe_r: number | null;
  mae_r: number | null;
}

export interface Scorecard extends Counts {
  strategy: string;
  key: string;
  interval: string;
  symbol: string | null;
  by_strength: (Counts & { strength: Signal["strength"] })[];
}

export type When = "all" | "active" | "over";
export type Whose = "all" | "house" | "own";

/** What is looked at; "" for any. symbol: as the house writes it. */
export interface Filter {
  symbol: string;
  strategy: string;
  type: "" | "BUY" | "SELL";
  confidence: string;
  when: When;
  whose: Whose;
}

export const EVERYTHING: Filter = { symbol: "", strategy: "", type: "", confidence: "", when: "all", whose: "all" };

const PAGE = 40;
const OVER = "TARGET,STOP,EXPIRED,SUPERSEDED";

/** The filter as the server takes it. Pure. */
export function query({ symbol, strategy, type, confidence, when, whose }: Filter): URLSearchParams {
  const asked = {
    symbol,
    strategy,
    signal_type: type,
    min_confidence: confidence,
    status: { all: "", active: "ACTIVE", over: OVER }[when],
    private: { all: "", house: "false", own: "true" }[whose],
  };
  return new URLSearchParams({
    ...Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== "")),
    limit: String(PAGE),
  });
}

/** Whether the filter lets it through at `now` (ms). Pure. */
export function matches(signal: Signal, filter: Filter, now: number): boolean {
  const { symbol, strategy, type, confidence, when, whose } = filter;
  return (
    (symbol === "" || signal.symbol === symbol) &&
    (strategy === "" || signal.strategy === strategy) &&
    (type === "" || signal.signal_type === type) &&
    (confidence === "" || signal.confidence_score >= Number(confidence)) &&
    (when === "all" || (statusOf(signal, now) === "ACTIVE") === (when === "active")) &&
    (whose === "all" || (signal.private === true) === (whose === "own"))
  );
}

export function getSignals(filter: Filter, signal: AbortSignal): Promise<Page<Signal>> {
  return get(`/api/signals/?${query(filter)}`, signal);
}

/** next: as the page before gave it. */
export function getOlderSignals(next: string): Promise<Page<Signal>> {
  return get(samePath(next));
}

export function getSignal(id: string, signal: AbortSignal): Promise<Signal> {
  return get(`/api/signals/${encodeURIComponent(id)}/`, signal);
}

export function getOutcome(id: string, signal: AbortSignal): Promise<Outcome> {
  return get(`/api/signals/${encodeURIComponent(id)}/outcome/`, signal);
}

export function getScorecards(bySymbol: boolean, signal: AbortSignal): Promise<Scorecard[]> {
  return getAll(`/api/strategies/scorecards/?by_symbol=${bySymbol}`, signal);
}

/**
 * The list, newest first, with one more that was heard of: known ones are replaced in their place.
 *
 * live: it has just happened. What a subscription begins with is old, and only fills up what is newer than the list.
 */
export function merged(list: Signal[], signal: Signal, live: boolean): Signal[] {
  const at = list.findIndex(({ signal_id }) => signal_id === signal.signal_id);
  const known = list[at];
  // It ends once: whoever still calls it active tells of earlier.
  if (known !== undefined) return known.status === "ACTIVE" ? list.with(at, { ...known, ...signal }) : list;
  if (live || isNewer(signal, list[0])) return [signal, ...list];
  return list;
}

function isNewer(signal: Signal, newest: Signal | undefined): boolean {
  return newest === undefined || Number(signal.signal_id) > Number(newest.signal_id);
}

/** Its status at `now` (ms): what is over has expired, though nobody has said so yet. */
export function statusOf({ status, expires_at }: Signal, now: number): SignalStatus {
  return status === "ACTIVE" && expires_at !== null && Date.parse(expires_at) <= now ? "EXPIRED" : status;
}

const BADGES: Record<SignalStatus, [tone: string, words: string]> = {
  ACTIVE: ["accent", "Active"],
  TARGET: ["good", "Target reached"],
  STOP: ["bad", "Stopped out"],
  EXPIRED: ["", "Expired"],
  SUPERSEDED: ["warn", "Superseded"],
};

/** A status for people. One that is made elsewhere, such as a test's, is shown as it is. */
export function badgeOf(status: string): [tone: string, words: string] {
  return BADGES[status as SignalStatus] ?? ["", status];
}

/** "for 12 min more"; null for what has no end, or is over. */
export function remaining(signal: Signal, now: number): string | null {
  if (signal.expires_at === null || statusOf(signal, now) !== "ACTIVE") return null;
  return `for ${age(Date.parse(signal.expires_at) - now)} more`;
}

/** What its confidence rests on: calibrated on so many outcomes, the strategy's own heuristic, or somebody else's. */
export function basisOf(basis: string | undefined): { calibrated: boolean; word: string; sentence: string } {
  const count = /^calibrated hit rate of (\d+) signals?$/.exec(basis ?? "")?.[1];
  if (count !== undefined) {
    const sentence = `The share of ${quantity(Number(count))} earlier signals of this strategy that reached their target.`;
    return { calibrated: true, word: "calibrated", sentence };
  }
  if (basis === "heuristic") {
    return { calibrated: false, word: "heuristic", sentence: "The strategy's own guess: no probability." };
  }
  return { calibrated: false, word: basis ?? "unknown", sentence: `What it rests on: ${basis ?? "nobody says"}.` };
}

/** How far a level lies from the entry, in percent with the sign of the price's way; null where one of them is missing. */
export function away(entry: number | null, level: number | null): number | null {
  return entry === null || level === null || entry === 0 ? null : (level / entry - 1) * 100;
}

/** What could be won for what is at risk: 1.5 for a target half as far again as the stop. */
export function rewardToRisk({ entry_price, target_price, stop_loss }: Signal): number | null {
  if (entry_price === null || target_price === null || stop_loss === null || stop_loss === entry_price) return null;
  return Math.abs(target_price - entry_price) / Math.abs(entry_price - stop_loss);
}

const RESULTS = { target: "Target reached", stop: "Stopped out", expired: "Ran out", skipped: "Not scored" } as const;

const SKIPPED: Record<string, string> = {
  split: "a split lies between, so that nothing can be compared",
  "no bars": "there are no bars after it",
  superseded: "it was superseded",
};

/** What became of it in a sentence. */
export function resultOf({ result, reason, gapped, undecided }: Outcome): string {
  if (result === null) return "Still open.";
  if (result === "skipped") return `Not scored: ${SKIPPED[reason ?? ""] ?? reason ?? "nobody says why"}.`;
  if (gapped) return `${RESULTS[result]}, at the open beyond the stop.`;
  if (undecided) return "Target and stop lay in one bar: counted as stopped out.";
  return `${RESULTS[result]}.`;
}
