/** The words of `/ws/realtime/`: envelopes in, envelopes out. Pure. */

export interface Position {
  epoch: string;
  seq: number;
}

export interface Envelope {
  type: string;
  data: Record<string, unknown>;
  timestamp: string;
  id?: unknown;
  topic?: string;
  epoch?: string;
  seq?: number;
}

/** One event of a topic, as a listener gets it. `position` on lossless topics only. */
export interface TopicEvent<T = Record<string, unknown>> {
  topic: string;
  type: string;
  data: T;
  timestamp: string;
  position?: Position;
}

/** The close codes a client acts on: 40xx says "don't come back", everything else "come back with backoff". */
export const SIGN_IN_NEEDED = 4001;
export const CONNECTION_LIMIT = 4029;

export function isFinal(code: number): boolean {
  return code >= 4000 && code < 4100;
}

/**
 * The messages in one frame, in order: a `batch` is unfolded, and what is no envelope is left out.
 *
 * `{"type": "batch", "data": {"events": [{"type": "asset_update", "topic": "price:BTC-USDT", …}]}, "timestamp": …}`
 */
export function parse(text: string): Envelope[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return [];
  }
  return unfold(value);
}

function unfold(value: unknown): Envelope[] {
  if (!isEnvelope(value)) return [];
  if (value.type !== "batch") return [value];
  const events = value.data.events;
  return Array.isArray(events) ? events.flatMap(unfold) : [];
}

function isEnvelope(value: unknown): value is Envelope {
  if (typeof value !== "object" || value === null) return false;
  const { type, data } = value as Partial<Envelope>;
  return typeof type === "string" && typeof data === "object" && data !== null;
}

export function positionOf(envelope: Envelope): Position | undefined {
  const { epoch, seq } = envelope;
  return epoch !== undefined && seq !== undefined ? { epoch, seq } : undefined;
}

const SYMBOL_TOPICS = new Set(["price", "ticker", "trades", "book", "ownbook", "signals", "candles"]);

/** A topic by the name that its events will carry: symbols come back upper-cased. */
export function named(topic: string): string {
  const [prefix = "", symbol, ...rest] = topic.split(":");
  if (symbol === undefined || !SYMBOL_TOPICS.has(prefix)) return topic;
  return [prefix, symbol.toUpperCase(), ...rest].join(":");
}

/** A client message; `id` comes back on its answer. */
export function compose(type: string, data: object, now: number, id?: number): string {
  return JSON.stringify({ type, data, timestamp: new Date(now).toISOString(), ...(id === undefined ? {} : { id }) });
}
