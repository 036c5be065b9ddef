/** How the service is doing, as `/realtime/status/` and the staff's calls tell it, and what that is in words. */

import { age, quantity, UNKNOWN } from "./format";
import { get, HttpError, type Page } from "./http";

export interface Percentiles {
  p50?: number;
  p99?: number;
}

/** A feed as everybody is told of it. Only `type` and `state` while the store of messages is away. */
export interface StatusFeed {
  type: string;
  state: string;
  symbols: number;
  ticks_per_s?: number;
  last_tick_at?: string | null;
  reconnects?: number;
  gaps_open?: number;
  latency_ms?: Percentiles;
}

export interface ServiceStatus {
  service_status: "running" | "degraded" | "stopped";
  global_stats: {
    total_connections: number;
    authenticated_users: number;
    portfolio_subscriptions: number;
    asset_subscriptions: number;
    symbol_subscriptions: number;
    top_symbols: { symbol: string; subscribers: number }[];
    total_messages: number;
    average_message_rate: number;
  };
  user_stats: { connection_count: number; subscriptions: { portfolios: string[]; assets: string[] } } | null;
  processing: {
    messages_processed: number;
    errors: number;
    uptime_seconds: number;
    messages_per_second: number;
    error_rate: number;
  };
  feeds: StatusFeed[];
  /** By hop; the first two by feed as well. */
  latency_ms: Record<string, Percentiles | Record<string, Percentiles>>;
}

/** One of a feed's sockets. */
export interface FeedConnection {
  state: string;
  symbols?: number;
  reconnects?: number;
  age_s?: number | null;
  subscribed?: number;
  asked?: number;
  last_error?: string;
}

/** What is told of a feed on the topic `feeds`, each second. */
export interface FeedEvent {
  provider: string;
  state: string;
  last_tick_age_s: number | null;
  ticks_per_s: number;
  reconnects: number;
  gaps_open: number;
  latency_ms: Percentiles;
  clock_skew_ms: number;
  symbols: number;
  malformed: number;
  quarantined: number;
  dropped: number;
  journal_full: boolean;
  closed: boolean;
  silent: string[];
  mute: string[];
  refused: string[];
  books: Record<string, number>;
  snapshots_waiting: number;
  last_error: string;
  connections: FeedConnection[];
}

/** The same for whoever is signed in, with what staff want of it. */
export interface Feed extends FeedEvent {
  wanted: "running" | "paused" | "stopped";
  paused_until: string | null;
  reason: string;
  changed_by: string | null;
  delay_s: number | null;
  terms: string;
}

export interface Gap {
  id: number;
  provider: string;
  symbol: string | null;
  kind: string;
  cause: string;
  started_at: string;
  ended_at: string | null;
  ticks: number;
  attempts: number;
  detail: string;
}

export interface Backfill {
  id: number;
  provider: string;
  interval: string;
  symbols: string[];
  start: string;
  end: string;
  chunks: number | null;
  done: number;
  message: string;
}

export interface Job {
  id: number;
  status: "running" | "done" | "failed" | "cancelled";
  total: number | null;
  done: number;
  message: string;
}

/** A service without its store of messages answers 503, and says in the same shape that it is stopped. */
export async function getStatus(signal: AbortSignal): Promise<ServiceStatus> {
  const response = await fetch("/realtime/status/", { signal, headers: { Accept: "application/json" } });
  const told: unknown = await response.json().catch(() => null);
  if (typeof told === "object" && told !== null && "service_status" in told) return told as ServiceStatus;
  throw new HttpError(response.status, told);
}

export async function getFeeds(signal: AbortSignal): Promise<Feed[]> {
  return (await get<Page<Feed>>("/api/feeds/", signal)).results;
}

export function getOpenGaps(signal: AbortSignal): Promise<Page<Gap>> {
  return get("/api/gaps/?status=open&limit=20", signal);
}

export function getRunningBackfills(signal: AbortSignal): Promise<Page<Backfill>> {
  return get("/api/backfills/?status=running&limit=20", signal);
}

export function getJob(id: number, signal: AbortSignal): Promise<Job> {
  return get(`/api/jobs/${id}/`, signal);
}

export type Tone = "good" | "busy" | "waiting" | "bad";

const STATES: Record<string, [tone: Tone, words: string]> = {
  live: ["good", "Live"],
  stale: ["busy", "Silent"],
  connecting: ["busy", "Connecting"],
  subscribing: ["busy", "Subscribing"],
  draining: ["busy", "Ending"],
  idle: ["waiting", "Idle"],
  refused: ["bad", "Refused"],
  stopped: ["bad", "Stopped"],
  unknown: ["bad", "Unknown"],
};

/** A feed's state for people. One that this page doesn't know yet is shown as it is. Pure, as all below. */
export function stateOf(state: string): { tone: Tone; words: string } {
  const [tone, words] = STATES[state] ?? ["waiting", state];
  return { tone, words };
}

const SERVICE: Record<ServiceStatus["service_status"], [tone: Tone, word: string]> = {
  running: ["good", "Running"],
  degraded: ["busy", "Degraded"],
  stopped: ["bad", "Stopped"],
};

/** The whole service in a word and a sentence. */
export function serviceOf({ service_status, feeds }: ServiceStatus): { tone: Tone; word: string; sentence: string } {
  const [tone, word] = SERVICE[service_status];
  return { tone, word, sentence: serviceSentence(service_status, feeds) };
}

function serviceSentence(service: ServiceStatus["service_status"], feeds: StatusFeed[]): string {
  if (feeds.length === 0) return "No feed is set up here.";
  if (feeds.every(({ state }) => state === "unknown")) return "The store of messages can't be reached.";
  const away = feeds.filter(({ state }) => state !== "live").map(({ type }) => type);
  if (service === "stopped") return "No feed is live.";
  if (away.length === 0) return feeds.length === 1 ? "Its feed is live." : `All ${feeds.length} feeds are live.`;
  if (service === "running") return `Every feed that should run is live; not running: ${away.join(", ")}.`;
  return `Not live: ${away.join(", ")}.`;
}

/** One row of the table of feeds: what everybody is told, and more where more is known. */
export interface FeedRow {
  provider: string;
  state: string;
  closed: boolean;
  symbols: number;
  ticksPerS: number | null;
  ageMs: number | null;
  reconnects: number | null;
  gapsOpen: number | null;
  latency: Percentiles;
  /** What was told each second (for staff) or read (for whoever is signed in). */
  more: Feed | undefined;
}

/** told: by provider, what the topic said last and when, by the clock of `now`. now: the server's, ms. */
export function feedRows(
  feeds: StatusFeed[],
  read: Feed[] | undefined,
  told: ReadonlyMap<string, { event: FeedEvent; at: number }>,
  now: number,
): FeedRow[] {
  return feeds.map((feed) => {
    const known = read?.find(({ provider }) => provider === feed.type);
    const live = told.get(feed.type);
    if (live === undefined) return rowOfStatus(feed, known, now);
    return rowOfEvent(live.event, now - live.at, known && { ...known, ...live.event });
  });
}

function rowOfStatus(feed: StatusFeed, known: Feed | undefined, now: number): FeedRow {
  return {
    provider: feed.type,
    state: feed.state,
    closed: known?.closed ?? false,
    symbols: feed.symbols,
    ticksPerS: feed.ticks_per_s ?? null,
    ageMs: feed.last_tick_at == null ? null : Math.max(0, now - Date.parse(feed.last_tick_at)),
    reconnects: feed.reconnects ?? null,
    gapsOpen: feed.gaps_open ?? null,
    latency: feed.latency_ms ?? {},
    more: known,
  };
}

function rowOfEvent(event: FeedEvent, sinceMs: number, more: Feed | undefined): FeedRow {
  const { last_tick_age_s } = event;
  return {
    provider: event.provider,
    state: event.state,
    closed: event.closed,
    symbols: event.symbols,
    ticksPerS: event.ticks_per_s,
    ageMs: last_tick_age_s === null ? null : Math.max(0, last_tick_age_s * 1000 + sinceMs),
    reconnects: event.reconnects,
    gapsOpen: event.gaps_open,
    latency: event.latency_ms,
    more,
  };
}

export interface Hop {
  name: string;
  /** Whose clock or path it is, where feeds differ. */
  of: string | null;
  p50: number | null;
  p99: number | null;
}

const HOPS: readonly (readonly [key: string, name: string])[] = [
  ["venue_to_received", "Venue → received"],
  ["received_to_journalled", "Received → journalled"],
  ["published_to_hub", "Published → web"],
  ["published_to_socket", "Published → sent"],
  ["client_echo", "Browser and back"],
];

/** A tick's way hop by hop, in its order; those of which nothing is known yet have no figures. */
export function hops(latency: ServiceStatus["latency_ms"]): Hop[] {
  return HOPS.flatMap(([key, name]) => {
    const told = latency[key] ?? {};
    const byFeed = Object.entries(told).filter((entry): entry is [string, Percentiles] => typeof entry[1] === "object");
    if (byFeed.length > 0) return byFeed.map(([of, each]) => hop(name, of, each));
    return [hop(name, null, told as Percentiles)];
  });
}

function hop(name: string, of: string | null, { p50, p99 }: Percentiles): Hop {
  return { name, of, p50: p50 ?? null, p99: p99 ?? null };
}

const LEAST_MS = 0.1;
const MOST_MS = 10_000;

/** Where a latency lies between a tenth of a millisecond and ten seconds, each tenfold as wide as the other: 0 to 1. */
export function place(milliseconds: number): number {
  const within = Math.min(Math.max(milliseconds, LEAST_MS), MOST_MS);
  return Math.log(within / LEAST_MS) / Math.log(MOST_MS / LEAST_MS);
}

/** "0.4 ms", "41 ms", "1.2 s"; below zero where clocks differ. */
export function latency(milliseconds: number | null | undefined): string {
  if (milliseconds == null) return UNKNOWN;
  const size = Math.abs(milliseconds);
  const sign = milliseconds < 0 ? "−" : "";
  if (size >= 1000) return `${sign}${(size / 1000).toFixed(1)} s`;
  return `${sign}${size.toFixed(size < 10 ? 1 : 0)} ms`;
}

// Of a day, an hour, a minute and a second.
const LENGTHS = [86_400, 3600, 60, 1];

/** "45 s", "12 min 5 s", "3 h 20 min", "2 d 4 h". */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const at = LENGTHS.findIndex((length) => whole >= length);
  const [big, small] = [LENGTHS[at] ?? 1, LENGTHS[at + 1] ?? 1];
  const first = age(Math.floor(whole / big) * big * 1000);
  const rest = Math.floor((whole % big) / small) * small;
  if (whole === 0) return "0 s";
  return rest === 0 ? first : `${first} ${age(rest * 1000)}`;
}

/** "0.4", "12", "20,133": of what happens in a second. */
export function perSecond(value: number | null | undefined): string {
  if (value == null) return UNKNOWN;
  return value < 10 ? quantity(Math.round(value * 10) / 10) : quantity(Math.round(value));
}

/** "none", "0.002%", "1.3%" of all. */
export function share(rate: number): string {
  if (rate === 0) return "none";
  const percent = rate * 100;
  return percent < 0.001 ? "< 0.001%" : `${Number(percent.toPrecision(2))}%`;
}
