/** The HTTP side: what the page reads once and then keeps up to date by topics. Shapes as in the protocol's tables. */

export interface Instrument {
  symbol: string;
  name: string;
  kind: string;
  currency: string;
  exchange?: string;
}

export type Interval = "1m" | "5m" | "15m" | "1h" | "4h" | "1d";
export const INTERVALS: readonly Interval[] = ["1m", "5m", "15m", "1h", "4h", "1d"];

export interface Candle {
  symbol: string;
  interval: Interval;
  time: string;
  open: number;
  high: number;
  low: number;
  close: number;
  volume: number;
  final: boolean;
}

export interface AssetUpdate {
  symbol: string;
  price: number | null;
  change: number | null;
  change_percent: number | null;
  bid: number | null;
  ask: number | null;
  source: string;
  quality: string | null;
  venue_time: string | null;
  received_at: string | null;
}

export interface Trade {
  price: number;
  quantity: number;
  side: "buy" | "sell" | null;
  trade_id: number | string;
  timestamp: string;
}

export interface Portfolio {
  id: number;
  name: string;
  base_currency: string;
}

export interface Position {
  symbol: string;
  quantity: number | string;
  price: number | null;
  value: number | null;
  unrealized_pnl: number | null;
}

export interface PortfolioUpdate {
  portfolio_id: number;
  name: string;
  total_value: number | null;
  daily_change: number | null;
  daily_change_percent: number | null;
  cash: number | null;
  unrealized_pnl: number | null;
  realized_pnl: number | null;
  as_of: string;
  stale: string[];
  unpriced: string[];
  positions: Position[];
}

export type Priority = "low" | "normal" | "high" | "critical";

export interface Notification {
  notification_id: string;
  title: string;
  message: string;
  notification_type: string;
  priority: Priority;
  read: boolean;
  created_at: string;
}

interface Page<T> {
  results: T[];
  next: string | null;
}

/** The server answered, but not with what was asked for. */
export class HttpError extends Error {
  readonly status: number;

  constructor(status: number) {
    super(httpSentence(status));
    this.status = status;
  }
}

function httpSentence(status: number): string {
  if (status === 401 || status === 403) return "Your session has ended. Sign in again.";
  if (status === 404) return "The server does not know this.";
  return `The server could not answer (${status}).`;
}

async function get<T>(url: string, signal: AbortSignal): Promise<T> {
  const response = await fetch(url, { signal, headers: { Accept: "application/json" } });
  if (!response.ok) throw new HttpError(response.status);
  return (await response.json()) as T;
}

// A list that never ends would keep the page loading for ever: so many pages are enough for a person.
const PAGES_MAX = 20;

async function getAll<T>(url: string, signal: AbortSignal): Promise<T[]> {
  const results: T[] = [];
  let next: string | null = url;
  for (let page = 0; next !== null && page < PAGES_MAX; page++) {
    const answer: Page<T> = await get<Page<T>>(next, signal);
    results.push(...answer.results);
    next = answer.next === null ? null : samePath(answer.next);
  }
  return results;
}

/** Behind a proxy the absolute address may name another host: only its path and query count. */
function samePath(url: string): string {
  const { pathname, search } = new URL(url, location.origin);
  return pathname + search;
}

export function getInstruments(signal: AbortSignal): Promise<Instrument[]> {
  return getAll("/api/instruments/", signal);
}

export function getPortfolios(signal: AbortSignal): Promise<Portfolio[]> {
  return getAll("/api/portfolios/", signal);
}

export async function getNotifications(signal: AbortSignal): Promise<Notification[]> {
  return (await get<Page<Notification>>("/api/notifications/", signal)).results;
}

/** Candles in time order. end: ISO time; only bars that begin before it. */
export async function getCandles(
  symbol: string,
  interval: Interval,
  limit: number,
  signal: AbortSignal,
  end?: string,
): Promise<Candle[]> {
  const query = new URLSearchParams({ interval, limit: String(limit), ...(end === undefined ? {} : { end }) });
  const page = await get<Page<Candle>>(`/api/market/${encodeURIComponent(symbol)}/candles/?${query}`, signal);
  return page.results.sort((a, b) => Date.parse(a.time) - Date.parse(b.time));
}
