/** What the console shows of a socket: the newest lines, bounded, and figures about them. Pure. */

export const LINES_MAX = 1000;
const RATE_WINDOW_MS = 5000;

export type Direction = "in" | "out" | "note";

export interface Line {
  id: number;
  at: number;
  direction: Direction;
  type: string;
  text: string;
  bytes: number;
  /** From the message's own timestamp to its arrival, where it has one. */
  latencyMs: number | null;
}

export interface Log {
  lines: Line[];
  nextId: number;
  /** Lines that fell out. */
  dropped: number;
  received: number;
  receivedBytes: number;
  /** When the newest messages came, for the rate. */
  recent: number[];
}

export const EMPTY: Log = { lines: [], nextId: 1, dropped: 0, received: 0, receivedBytes: 0, recent: [] };

export interface Said {
  at: number;
  direction: Direction;
  text: string;
}

/** The log with these added, the oldest lines let go. `keep` false: counted only, as while it is paused. */
export function add(log: Log, said: Said[], keep: boolean): Log {
  const incoming = said.filter((one) => one.direction === "in");
  const now = said.at(-1)?.at ?? 0;
  const shown = keep ? said.map((one, index) => lineOf(one, log.nextId + index)) : [];
  const lines = [...log.lines, ...shown];
  const over = Math.max(0, lines.length - LINES_MAX);
  return {
    lines: lines.slice(over),
    nextId: log.nextId + shown.length,
    dropped: log.dropped + over,
    received: log.received + incoming.length,
    receivedBytes: log.receivedBytes + incoming.reduce((sum, one) => sum + bytesOf(one.text), 0),
    recent: [...log.recent, ...incoming.map((one) => one.at)].filter((at) => at > now - RATE_WINDOW_MS),
  };
}

/** Messages a second over the last few seconds. */
export function rate(log: Log, now: number): number {
  return log.recent.filter((at) => at > now - RATE_WINDOW_MS).length / (RATE_WINDOW_MS / 1000);
}

/** The middle and the worst latency of the lines; null without any. */
export function latencies(lines: Line[]): { median: number; worst: number } | null {
  const known = lines.flatMap(({ latencyMs }) => (latencyMs === null ? [] : [latencyMs])).sort((a, b) => a - b);
  const median = known[Math.floor(known.length / 2)];
  const worst = known.at(-1);
  return median === undefined || worst === undefined ? null : { median, worst };
}

/** The lines whose text contains each of the words, whatever the case of letters. */
export function matching(lines: Line[], filter: string): Line[] {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return lines;
  return lines.filter(({ text, type }) => words.every((word) => `${type} ${text}`.toLowerCase().includes(word)));
}

function lineOf({ at, direction, text }: Said, id: number): Line {
  const value = direction === "note" ? null : parsed(text);
  return {
    id,
    at,
    direction,
    type: direction === "note" ? "" : typeOf(value),
    text,
    bytes: bytesOf(text),
    latencyMs: direction === "in" ? latencyOf(value, at) : null,
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function typeOf(value: unknown): string {
  const { type, action } = (value ?? {}) as { type?: unknown; action?: unknown };
  return String(type ?? action ?? "");
}

function latencyOf(value: unknown, at: number): number | null {
  const stamp = (value as { timestamp?: unknown } | null)?.timestamp;
  const sent = typeof stamp === "string" ? Date.parse(stamp) : Number.NaN;
  return Number.isNaN(sent) ? null : at - sent;
}

function bytesOf(text: string): number {
  return new TextEncoder().encode(text).length;
}

/** What a close code means, in words. */
export function closeMeaning(code: number): string {
  return CLOSE_CODES[code] ?? (code >= 4100 ? "Come back with backoff" : code >= 4000 ? "Don’t come back" : "");
}

const CLOSE_CODES: Record<number, string> = {
  1000: "Closed normally",
  1001: "The other side is going away",
  1006: "Broken off without a word",
  1009: "A message was too big",
  1012: "The server restarts",
  4000: "Too many broken messages",
  4001: "Sign in first",
  4003: "Not yours",
  4004: "Unknown symbol or topic",
  4029: "Connection limit",
  4101: "The server restarts, or its database is away",
  4108: "Too slow",
  4129: "Too many messages a minute",
};
