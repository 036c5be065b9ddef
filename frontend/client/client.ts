/** The shell around `Session`: one WebSocket, one timer, and the listeners of each topic. */

import { Meter, type Metrics } from "./meter";
import { poll, source } from "./polling";
import { named, type TopicEvent } from "./protocol";
import { DEFAULTS, type Effect, type Options, type Priority, Session, type Status } from "./session";

export interface Listener<T = Record<string, unknown>> {
  event(event: TopicEvent<T>): void;
  /** What was missed can't be replayed: read the state anew. */
  reset?(): void;
}

/** What the server would not do, for example a topic that needs a sign-in. */
export interface Refusal {
  code: string | number;
  message: string;
}

// So many connections in a row that never came to anything: something on the way blocks sockets.
const BLOCKED_AFTER = 3;

export class RealtimeClient {
  private readonly url: string;
  private readonly session: Session;
  private readonly listeners = new Map<string, Set<Listener>>();
  private readonly statusListeners = new Set<() => void>();
  private readonly refusalListeners = new Set<(refusal: Refusal) => void>();
  private readonly newest = new Map<string, TopicEvent>();
  private readonly pollEveryMs: number;
  private socket: WebSocket | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly meter = new Meter();
  private polling: ReturnType<typeof setInterval> | undefined;
  private closed = false;

  constructor(url: string, options: Partial<Options> = {}) {
    this.url = url;
    this.pollEveryMs = options.pollEveryMs ?? DEFAULTS.pollEveryMs;
    this.session = new Session(Math.random, options);
  }

  get status(): Status {
    return this.session.status;
  }

  connect(): void {
    this.closed = false;
    this.run(this.session.connect(Date.now()));
  }

  /** End it for good: no connection, no timer. `connect` begins anew. */
  close(): void {
    this.closed = true;
    this.abandon();
    clearTimeout(this.timer);
    this.stopPolling();
  }

  metrics(): Metrics {
    const { status } = this;
    return {
      connected: status.phase === "live",
      polling: this.polling !== undefined,
      messages: this.meter.messages,
      bytes: this.meter.bytes,
      messagesPerSecond: this.meter.rate(Date.now()),
      reconnects: this.meter.reconnects,
      dropped: this.meter.dropped,
      subscriptions: this.listeners.size,
      latencyMs: status.phase === "live" ? status.latencyMs : null,
    };
  }

  /** Try now instead of when the backoff says, unless there is a connection. */
  retry(): void {
    const { phase } = this.status;
    if (phase === "waiting" || phase === "refused") this.connect();
  }

  /** The newest event of a followed conflated topic: what a late subscriber starts with. */
  latest<T>(topic: string): TopicEvent<T> | undefined {
    return this.newest.get(named(topic)) as TopicEvent<T> | undefined;
  }

  /** Follow a topic; any number of listeners share one subscription. Returns how to stop. */
  subscribe<T>(asked: string, listener: Listener<T>, priority: Priority = "normal"): () => void {
    const topic = named(asked);
    const own = listener as unknown as Listener;
    const listeners = this.listeners.get(topic) ?? new Set();
    this.listeners.set(topic, listeners.add(own));
    this.session.want(topic, Date.now(), priority);
    this.schedule();
    return () => {
      if (!listeners.delete(own)) return;
      if (listeners.size === 0 && this.listeners.get(topic) === listeners) this.listeners.delete(topic);
      this.session.release(topic, Date.now());
      this.schedule();
    };
  }

  send(type: string, data: object): void {
    this.run(this.session.send(type, data, Date.now()));
  }

  onStatus(listener: () => void): () => void {
    this.statusListeners.add(listener);
    return () => this.statusListeners.delete(listener);
  }

  onRefusal(listener: (refusal: Refusal) => void): () => void {
    this.refusalListeners.add(listener);
    return () => this.refusalListeners.delete(listener);
  }

  private run(effects: Effect[]): void {
    for (const effect of effects) this.act(effect);
    this.schedule();
  }

  private act(effect: Effect): void {
    if (effect.kind === "connect") this.open();
    else if (effect.kind === "send") this.socket?.send(effect.text);
    else if (effect.kind === "drop") this.drop();
    else if (effect.kind === "event") this.deliver(effect.event);
    else if (effect.kind === "forget") this.newest.delete(effect.topic);
    else if (effect.kind === "reset") for (const listener of this.listenersOf(effect.topic)) listener.reset?.();
    else if (effect.kind === "refusal") for (const listener of this.refusalListeners) listener(effect);
    else if (effect.kind === "dropped") this.meter.dropped += effect.count;
    else this.statusChanged();
  }

  private statusChanged(): void {
    for (const listener of this.statusListeners) listener();
    if (this.status.phase === "live") this.stopPolling();
    else if (this.session.failures >= BLOCKED_AFTER) this.startPolling();
  }

  /** Sockets do not get through: the same payloads by HTTP, until one does. */
  private startPolling(): void {
    if (this.polling !== undefined || this.closed) return;
    this.polling = setInterval(() => void this.pollOnce(), this.pollEveryMs);
    void this.pollOnce();
  }

  private stopPolling(): void {
    clearInterval(this.polling);
    this.polling = undefined;
  }

  private async pollOnce(): Promise<void> {
    const base = this.url.replace(/^ws/, "http").replace(/\/ws\/.*$/, "");
    const topics = [...this.listeners.keys()].filter((topic) => source(topic) !== null);
    const read = (url: string) => fetch(url, { headers: { Accept: "application/json" } });
    const told = await Promise.allSettled(topics.map((topic) => poll(topic, base, read, Date.now())));
    if (this.polling === undefined) return;
    for (const one of told) if (one.status === "fulfilled") for (const event of one.value) this.deliver(event);
  }

  private listenersOf(topic: string): Iterable<Listener> {
    return this.listeners.get(topic) ?? [];
  }

  private deliver(event: TopicEvent): void {
    if (event.position === undefined) this.newest.set(event.topic, event);
    for (const listener of this.listenersOf(event.topic)) listener.event(event);
  }

  private open(): void {
    this.abandon();
    const socket = new WebSocket(this.url);
    socket.onmessage = ({ data }) => {
      const text = String(data);
      this.meter.took(text.length, Date.now());
      this.run(this.session.received(text, Date.now()));
    };
    socket.onclose = ({ code, reason }) => {
      this.socket = null;
      this.meter.reconnects += 1;
      this.run(this.session.closed(code, reason, Date.now()));
    };
    this.socket = socket;
  }

  /** A socket whose peer is silent may take minutes to close: let go of it and go on at once. */
  private drop(): void {
    this.abandon();
    this.run(this.session.closed(1006, "silent", Date.now()));
  }

  private abandon(): void {
    if (this.socket === null) return;
    this.socket.onmessage = this.socket.onclose = null;
    this.socket.close();
    this.socket = null;
  }

  private schedule(): void {
    clearTimeout(this.timer);
    if (this.closed) return;
    const wakeAt = this.session.wakeAt();
    if (wakeAt === Number.POSITIVE_INFINITY) return;
    this.timer = setTimeout(() => this.run(this.session.tick(Date.now())), Math.max(0, wakeAt - Date.now()));
  }
}
