/** News and how it sounds, as `/api/news/` and the topic `news` tell it. */

import { get, type Page, samePath } from "./http";

export interface Sentiment {
  score: number;
  label: "positive" | "neutral" | "negative";
}

export interface Article {
  id: string;
  category: string;
  headline: string;
  summary: string;
  source: string;
  url: string;
  published_at: string;
  symbols: string[];
  sentiment: Sentiment;
}

/** Of an instrument: both null where there was no news. */
export interface Mood {
  score: number | null;
  label: Sentiment["label"] | null;
  count: number;
  hours: number;
}

const PAGE = 30;

export function getNews(symbol: string, signal: AbortSignal): Promise<Page<Article>> {
  const query = new URLSearchParams({ limit: String(PAGE) });
  if (symbol !== "") query.set("symbol", symbol);
  return get(`/api/news/?${query}`, signal);
}

/** next: as the page before gave it. */
export function getOlderNews(next: string): Promise<Page<Article>> {
  return get(samePath(next));
}

export function getMood(symbol: string, signal: AbortSignal): Promise<Mood> {
  return get(`/api/market/${encodeURIComponent(symbol)}/sentiment/?hours=24`, signal);
}

/** The list with more of them, newest first: the same story told anew takes the place of its older telling. Pure. */
export function joined(list: Article[], more: Article[]): Article[] {
  const byId = new Map([...list, ...more].map((article) => [article.id, article]));
  return [...byId.values()].sort((a, b) => Date.parse(b.published_at) - Date.parse(a.published_at));
}

/** Only what a browser may follow: an address of http or https. Pure. */
export function isLink(url: string): boolean {
  return /^https?:\/\//i.test(url);
}
