/** The HTTP side: what the page reads once and then keeps up to date by topics. Shapes as in the protocol's tables. */

import { get, getAll, type Page } from "./http";

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
  data?: Record<string, unknown>;
  read: boolean;
  created_at: string;
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
