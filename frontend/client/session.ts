/**
 * What a connection means: which topics are wanted, which the server knows of, where each lossless one stands, when to
 * come back. Pure: no socket, no clock, no random source. Each method takes the time and returns the effects that its
 * caller runs in order; `wakeAt()` says when to call `tick` next.
 */

import { type Backoff, delayMs } from "./backoff";
import { compose, type Envelope, isFinal, type Position, parse, positionOf, type TopicEvent } from "./protocol";

export type Status =
  | { phase: "connecting" }
  | { phase: "live"; generation: number; authenticated: boolean; latencyMs: number | null; clockOffsetMs: number }
  | { phase: "waiting"; retryAt: number; attempt: number }
  | { phase: "refused"; code: number; reason: string };

export type Effect =
  | { kind: "connect" }
  | { kind: "send"; text: string }
  | { kind: "drop" }
  | { kind: "status"; status: Status }
  | { kind: "event"; event: TopicEvent }
  /** What was missed can't be replayed: read the state anew. */
  | { kind: "reset"; topic: string }
  /** The topic is no longer followed: what is remembered of it grows old. */
  | { kind: "forget"; topic: string }
  /** Conflated updates that the server left out for us. */
  | { kind: "dropped"; count: number }
  | { kind: "refusal"; code: string | number; message: string };

/** What a page shows just now goes first when the line is slow. */
export type Priority = "high" | "normal" | "low";
const PRIORITIES = ["high", "normal", "low"] as const;
const RANKS: Record<Priority, number> = { low: 0, normal: 1, high: 2 };

export interface Options {
  intervalMs: number;
  heartbeatMs: number;
  pongTimeoutMs: number;
  connectTimeoutMs: number;
  /** A connection that held this long was a good one: the next loss starts the backoff anew. */
  settledMs: number;
  /** Changes of subscription within this time go as one message. */
  gatherMs: number;
  /** A topic nobody wants any more is kept this long, for whoever comes back to it. */
  lingerMs: number;
  /** Messages a minute that we allow ourselves; the server closes at 100. */
  messagesPerMinute: number;
  /** Messages kept while there is no connection; older ones fall out. */
  queueMax: number;
  backoff: Backoff;
  /** How often topics are read over HTTP while sockets are blocked. */
  pollEveryMs: number;
}

export const DEFAULTS: Options = {
  intervalMs: 100,
  heartbeatMs: 30_000,
  pongTimeoutMs: 10_000,
  connectTimeoutMs: 10_000,
  settledMs: 5_000,
  gatherMs: 10,
  lingerMs: 3_000,
  messagesPerMinute: 80,
  queueMax: 50,
  backoff: { baseMs: 500, capMs: 20_000 },
  pollEveryMs: 2_000,
};

const MINUTE_MS = 60_000;
const NEVER = Number.POSITIVE_INFINITY;

export class Session {
  status: Status = { phase: "connecting" };

  private readonly options: Options;
  private readonly random: () => number;
  private readonly wanted = new Map<string, number>();
  private readonly priorities = new Map<string, Priority>();
  private readonly lingering = new Map<string, number>();
  private readonly active = new Set<string>();
  private readonly positions = new Map<string, Position>();
  private readonly queue: { type: string; data: object }[] = [];
  private readonly sentAt: number[] = [];
  private attempt = 0;
  /** Connections in a row that never came as far as the server's greeting. */
  failures = 0;
  private generation = 0;
  private nextId = 1;
  private liveSince = NEVER;
  private connectBy = NEVER;
  private retryAt = NEVER;
  private flushAt = NEVER;
  private pingAt = NEVER;
  private pongBy = NEVER;
  private ping: { id: number; at: number } | null = null;

  constructor(random: () => number, options: Partial<Options> = {}) {
    this.random = random;
    this.options = { ...DEFAULTS, ...options };
  }

  /** Connect now: at the start, when the network came back, when the user asks. */
  connect(now: number): Effect[] {
    this.retryAt = NEVER;
    this.connectBy = now + this.options.connectTimeoutMs;
    return [{ kind: "connect" }, ...this.become({ phase: "connecting" })];
  }

  /** One more listener of the topic. Of several priorities asked for the highest counts. */
  want(topic: string, now: number, priority: Priority = "normal"): void {
    this.wanted.set(topic, (this.wanted.get(topic) ?? 0) + 1);
    const before = this.priorities.get(topic) ?? "low";
    if (RANKS[priority] > RANKS[before]) {
      this.priorities.set(topic, priority);
      if (priority !== "normal") this.active.delete(topic); // told anew, with its priority
    }
    this.lingering.delete(topic);
    if (!this.active.has(topic)) this.flushSoon(now);
  }

  /** One listener less; the last one leaving starts the topic's lingering. */
  release(topic: string, now: number): void {
    const listeners = (this.wanted.get(topic) ?? 0) - 1;
    if (listeners > 0) {
      this.wanted.set(topic, listeners);
      return;
    }
    this.wanted.delete(topic);
    this.lingering.set(topic, now + this.options.lingerMs);
    this.flushAt = Math.min(this.flushAt, now + this.options.lingerMs);
  }

  /** Send when possible; bounded while it is not. */
  send(type: string, data: object, now: number): Effect[] {
    this.queue.push({ type, data });
    if (this.queue.length > this.options.queueMax) this.queue.shift();
    return this.flush(now);
  }

  /** A frame came. */
  received(text: string, now: number): Effect[] {
    return parse(text).flatMap((envelope) => this.take(envelope, now));
  }

  /** The socket is gone, by either side. */
  closed(code: number, reason: string, now: number): Effect[] {
    if (now - this.liveSince >= this.options.settledMs) this.attempt = 0;
    if (this.liveSince === NEVER) this.failures += 1;
    this.disconnected();
    if (isFinal(code)) return this.become({ phase: "refused", code, reason });
    this.retryAt = now + delayMs(this.attempt, this.random(), this.options.backoff);
    const status: Status = { phase: "waiting", retryAt: this.retryAt, attempt: this.attempt };
    this.attempt += 1;
    return this.become(status);
  }

  /** When `tick` has something to do; infinity when nothing is due. */
  wakeAt(): number {
    const due = this.status.phase === "live" ? this.flushAt : NEVER;
    return Math.min(due, this.connectBy, this.retryAt, this.pingAt, this.pongBy);
  }

  tick(now: number): Effect[] {
    if (now >= this.connectBy || now >= this.pongBy) return this.lost();
    if (now >= this.retryAt) return this.connect(now);
    return [...(now >= this.flushAt ? this.flush(now) : []), ...(now >= this.pingAt ? this.sendPing(now) : [])];
  }

  private take(envelope: Envelope, now: number): Effect[] {
    if (envelope.topic !== undefined && isEvent(envelope)) return this.takeEvent(envelope.topic, envelope, now);
    switch (envelope.type) {
      case "connection":
        return this.opened(envelope, now);
      case "pong":
        return this.takePong(envelope, now);
      case "subscribed":
        return this.takeSubscribed(envelope.data);
      case "dropped":
        return [{ kind: "dropped", count: sum(Object.values(envelope.data)) }];
      case "error":
        return [refusal(envelope.data)];
      default:
        return [];
    }
  }

  private opened(envelope: Envelope, now: number): Effect[] {
    this.connectBy = NEVER;
    this.liveSince = now;
    this.failures = 0;
    this.generation += 1;
    const status: Status = {
      phase: "live",
      generation: this.generation,
      authenticated: envelope.data.authenticated === true,
      latencyMs: null,
      clockOffsetMs: 0,
    };
    return [...this.become(status), ...this.flush(now), ...this.sendPing(now)];
  }

  /** Duplicates are left out; a hole or a foreign epoch asks for the missing part. */
  private takeEvent(topic: string, envelope: Envelope, now: number): Effect[] {
    const position = positionOf(envelope);
    const event: TopicEvent = { topic, type: envelope.type, data: envelope.data, timestamp: envelope.timestamp };
    if (position === undefined) return [{ kind: "event", event }];
    const known = this.positions.get(topic);
    if (known?.epoch === position.epoch) {
      if (position.seq <= known.seq) return [];
      if (position.seq > known.seq + 1) return this.refill(topic, now);
    }
    this.positions.set(topic, position);
    return [{ kind: "event", event: { ...event, position } }];
  }

  private refill(topic: string, now: number): Effect[] {
    if (!this.active.delete(topic)) return [];
    const effects = [this.transmit("unsubscribe", { topics: [topic] }, now)];
    this.flushSoon(now);
    return effects;
  }

  private takePong(envelope: Envelope, now: number): Effect[] {
    if (this.ping === null || envelope.id !== this.ping.id) return [];
    const middle = (this.ping.at + now) / 2;
    const latencyMs = now - this.ping.at;
    const serverTime = Date.parse(envelope.timestamp);
    this.ping = null;
    this.pongBy = NEVER;
    this.pingAt = now + this.options.heartbeatMs;
    if (this.status.phase !== "live") return [];
    const clockOffsetMs = Number.isNaN(serverTime) ? this.status.clockOffsetMs : Math.round(serverTime - middle);
    return this.become({ ...this.status, latencyMs, clockOffsetMs });
  }

  /** `{"topics": {"notifications": {"epoch", "seq", "recovered"}}}`: where each topic stands from here on. */
  private takeSubscribed(data: Record<string, unknown>): Effect[] {
    return Object.entries(positionsIn(data)).flatMap(([topic, { position, recovered }]): Effect[] => {
      if (position === undefined || recovered) return [];
      const resumed = this.positions.has(topic);
      this.positions.set(topic, position);
      return resumed ? [{ kind: "reset", topic }] : [];
    });
  }

  /** Bring what the server knows in line with what is wanted, in as few messages as there are kinds of change. */
  private flush(now: number): Effect[] {
    if (this.status.phase !== "live") return [];
    const { leaving, coming, laterAt } = this.due(now);
    const priorities = new Set(coming.map((topic) => this.rank(topic))).size;
    const messages = this.queue.length + Number(leaving.length > 0) + priorities;
    const openAt = this.budgetAt(messages, now);
    if (openAt > now) {
      this.flushAt = openAt;
      return [];
    }
    this.flushAt = laterAt;
    return [...this.leave(leaving, now), ...this.come(coming, now), ...this.sendQueue(now)];
  }

  private due(now: number): { leaving: string[]; coming: string[]; laterAt: number } {
    const leaving = [...this.lingering].filter(([, until]) => until <= now).map(([topic]) => topic);
    const coming = [...this.wanted.keys()].filter((topic) => !this.active.has(topic));
    const later = [...this.lingering.values()].filter((until) => until > now);
    return { leaving, coming, laterAt: Math.min(NEVER, ...later) };
  }

  private leave(topics: string[], now: number): Effect[] {
    for (const topic of topics) {
      this.lingering.delete(topic);
      this.positions.delete(topic);
      this.priorities.delete(topic);
    }
    const known = topics.filter((topic) => this.active.delete(topic));
    const forgotten = topics.map((topic): Effect => ({ kind: "forget", topic }));
    return known.length > 0 ? [this.transmit("unsubscribe", { topics: known }, now), ...forgotten] : forgotten;
  }

  private come(topics: string[], now: number): Effect[] {
    if (topics.length === 0) return [];
    for (const topic of topics) this.active.add(topic);
    const groups = PRIORITIES.map((priority) => ({
      priority,
      topics: topics.filter((each) => this.rank(each) === priority),
    }));
    return groups
      .filter((group) => group.topics.length > 0)
      .map((group) => this.transmit("subscribe", this.subscription(group.topics, group.priority), now));
  }

  private rank(topic: string): Priority {
    return this.priorities.get(topic) ?? "low";
  }

  private subscription(topics: string[], priority: Priority): object {
    const since = Object.fromEntries([...this.positions].filter(([topic]) => topics.includes(topic)));
    const data = { topics, since, interval_ms: this.options.intervalMs, batch: true };
    return priority === "normal" ? data : { ...data, priority };
  }

  private sendQueue(now: number): Effect[] {
    return this.queue.splice(0).map(({ type, data }) => this.transmit(type, data, now));
  }

  private sendPing(now: number): Effect[] {
    this.ping = { id: this.nextId, at: now };
    this.pingAt = NEVER;
    this.pongBy = now + this.options.pongTimeoutMs;
    return [this.transmit("ping", {}, now)];
  }

  private transmit(type: string, data: object, now: number): Effect {
    this.sentAt.push(now);
    return { kind: "send", text: compose(type, data, now, this.nextId++) };
  }

  /** When so many messages more fit into the minute's budget. */
  private budgetAt(messages: number, now: number): number {
    while (this.sentAt[0] !== undefined && this.sentAt[0] <= now - MINUTE_MS) this.sentAt.shift();
    const excess = this.sentAt.length + messages - this.options.messagesPerMinute;
    const blocking = this.sentAt[excess - 1];
    return excess > 0 && blocking !== undefined ? blocking + MINUTE_MS : now;
  }

  private flushSoon(now: number): void {
    this.flushAt = Math.min(this.flushAt, now + this.options.gatherMs);
  }

  /** The server is silent: the shell drops the socket, whose closing then starts the backoff. */
  private lost(): Effect[] {
    this.connectBy = this.pongBy = NEVER;
    return [{ kind: "drop" }];
  }

  private disconnected(): void {
    this.active.clear();
    this.ping = null;
    this.liveSince = this.connectBy = this.pingAt = this.pongBy = this.retryAt = NEVER;
    this.sentAt.length = 0;
  }

  private become(status: Status): Effect[] {
    this.status = status;
    return [{ kind: "status", status }];
  }
}

function isEvent({ type }: Envelope): boolean {
  return !["subscribed", "unsubscribed", "error", "dropped"].includes(type);
}

function refusal({ code, message }: Record<string, unknown>): Effect {
  return {
    kind: "refusal",
    code: typeof code === "number" || typeof code === "string" ? code : "error",
    message: typeof message === "string" ? message : "The server refused.",
  };
}

function sum(values: unknown[]): number {
  return values.reduce<number>((total, value) => total + (typeof value === "number" ? value : 0), 0);
}

function positionsIn(data: Record<string, unknown>): Record<string, { position?: Position; recovered: boolean }> {
  const topics = data.topics;
  if (typeof topics !== "object" || topics === null || Array.isArray(topics)) return {};
  return Object.fromEntries(
    Object.entries(topics as Record<string, Partial<Position> & { recovered?: boolean }>).map(([topic, at]) => [
      topic,
      {
        ...(at?.epoch !== undefined && at.seq !== undefined ? { position: { epoch: at.epoch, seq: at.seq } } : {}),
        recovered: at?.recovered === true,
      },
    ]),
  );
}
