/**
 * What stands in for the socket where sockets are blocked: the same payloads over HTTP, topic by topic. Pure but for the
 * `fetch` it is given.
 */

import type { TopicEvent } from "./protocol";

export type Fetch = (url: string) => Promise<{ ok: boolean; json(): Promise<unknown> }>;

/** Where a topic's state is read, and the type of the events that carry it; null for one that HTTP does not tell. */
export function source(topic: string): { path: string; type: string; list: boolean } | null {
  const [prefix = "", ...rest] = topic.split(":");
  const symbol = encodeURIComponent(rest[0] ?? "");
  switch (prefix) {
    case "price":
      return { path: `/api/market/${symbol}/latest/`, type: "asset_update", list: false };
    case "book":
      return { path: `/api/market/${symbol}/book/`, type: "book", list: false };
    case "candles":
      return { path: `/api/market/${symbol}/candles/?interval=${rest[1]}&limit=1`, type: "candle", list: true };
    case "trades":
      return { path: `/api/market/${symbol}/trades/?limit=50`, type: "trades", list: true };
    case "portfolio":
      return { path: `/api/portfolios/${symbol}/`, type: "portfolio_update", list: false };
    case "notifications":
      return { path: "/api/notifications/?read=false&limit=50", type: "notification", list: true };
    default:
      return null;
  }
}

/** One reading of a topic, as the events that the socket would have brought. */
export async function poll(topic: string, base: string, fetch: Fetch, now: number): Promise<TopicEvent[]> {
  const from = source(topic);
  if (from === null) return [];
  const answer = await fetch(base + from.path);
  if (!answer.ok) return [];
  return events(topic, from.type, await answer.json(), from.list, now);
}

function events(topic: string, type: string, body: unknown, list: boolean, now: number): TopicEvent[] {
  const timestamp = new Date(now).toISOString();
  const event = (data: object): TopicEvent => ({ topic, type, data: data as Record<string, unknown>, timestamp });
  if (!list) return typeof body === "object" && body !== null ? [event(body)] : [];
  const rows = (body as { results?: unknown } | null)?.results;
  if (!Array.isArray(rows) || rows.length === 0) return [];
  const symbol = topic.split(":")[1];
  return type === "trades" ? [event({ symbol, instrument: symbol, trades: rows })] : rows.map(event);
}
