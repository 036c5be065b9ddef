/**
 * Prices of very many symbols over a few connections, handed over in batches: for screens that show hundreds.
 *
 * `getMarketDataStream({maxConnections: 3}).subscribe("grid", ["BTC-USDT", …], (updates) => …, "high")`
 */

import { Bounded } from "./buffer";
import { RealtimeClient } from "./client";
import type { Metrics } from "./meter";
import type { Priority } from "./session";

export interface StreamOptions {
  /** The server allows five a user. */
  maxConnections: number;
  /** Updates handed over at once, at most. */
  batchSize: number;
  /** And how often, in milliseconds. */
  batchInterval: number;
  /**
   * Compression is settled between browser and server (the setting WEBSOCKET_DEFLATE) before any script is asked; this
   * is told by `getMetrics` and changes nothing.
   */
  compressionEnabled: boolean;
  /** Updates a second to each subscriber; of what is beyond it the newest of each symbol is kept. */
  rateLimitPerSecond: number;
  url: string;
}

export interface MarketUpdate {
  symbol: string;
  price: number | null;
  [name: string]: unknown;
}

export interface StreamMetrics {
  connections: number;
  connected: number;
  subscribers: number;
  symbols: number;
  messages: number;
  messagesPerSecond: number;
  delivered: number;
  dropped: number;
  compressionEnabled: boolean;
}

type Callback = (updates: MarketUpdate[]) => void;

// Of the 50 subscriptions that the server allows a connection; the rest is room for what a page follows besides.
const SYMBOLS_PER_CONNECTION = 45;
const BUFFER_MAX = 1000;

const DEFAULTS: Omit<StreamOptions, "url"> = {
  maxConnections: 3,
  batchSize: 100,
  batchInterval: 100,
  compressionEnabled: false,
  rateLimitPerSecond: 1000,
};

interface Subscriber {
  callback: Callback;
  stops: (() => void)[];
  symbols: string[];
  /** The newest of each symbol that is yet to be handed over, in the order of their first coming. */
  fresh: Map<string, MarketUpdate>;
  allowance: number;
}

export class MarketDataStream {
  private readonly options: StreamOptions;
  private readonly clients: RealtimeClient[] = [];
  private readonly load = new Map<RealtimeClient, Map<string, number>>();
  private readonly subscribers = new Map<string, Subscriber>();
  private readonly history = new Bounded<MarketUpdate>(BUFFER_MAX);
  private timer: ReturnType<typeof setInterval> | undefined;
  private delivered = 0;
  private replaced = 0;

  constructor(options: Partial<StreamOptions> = {}) {
    this.options = { ...DEFAULTS, url: defaultUrl(), ...options };
  }

  /** Follow these symbols under this name; the same name again replaces what it followed. Returns how to stop. */
  subscribe(id: string, symbols: string[], callback: Callback, priority: Priority = "normal"): () => void {
    this.unsubscribe(id);
    const subscriber: Subscriber = { callback, stops: [], symbols, fresh: new Map(), allowance: 0 };
    this.subscribers.set(id, subscriber);
    for (const symbol of new Set(symbols)) subscriber.stops.push(this.follow(symbol, subscriber, priority));
    this.timer ??= setInterval(() => this.flush(), this.options.batchInterval);
    return () => this.unsubscribe(id);
  }

  unsubscribe(id: string): void {
    const subscriber = this.subscribers.get(id);
    if (subscriber === undefined) return;
    for (const stop of subscriber.stops) stop();
    this.subscribers.delete(id);
    if (this.subscribers.size > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }

  /** The newest updates of all symbols, bounded. */
  recent(): readonly MarketUpdate[] {
    return this.history.all();
  }

  getMetrics(): StreamMetrics {
    const each: Metrics[] = this.clients.map((client) => client.metrics());
    const symbols = new Set([...this.subscribers.values()].flatMap((subscriber) => subscriber.symbols));
    return {
      connections: this.clients.length,
      connected: each.filter(({ connected }) => connected).length,
      subscribers: this.subscribers.size,
      symbols: symbols.size,
      messages: each.reduce((sum, { messages }) => sum + messages, 0),
      messagesPerSecond: each.reduce((sum, { messagesPerSecond }) => sum + messagesPerSecond, 0),
      delivered: this.delivered,
      dropped: this.replaced + each.reduce((sum, { dropped }) => sum + dropped, 0),
      compressionEnabled: this.options.compressionEnabled,
    };
  }

  close(): void {
    for (const id of [...this.subscribers.keys()]) this.unsubscribe(id);
    for (const client of this.clients.splice(0)) client.close();
    this.load.clear();
  }

  private follow(symbol: string, subscriber: Subscriber, priority: Priority): () => void {
    const client = this.clientFor(symbol);
    const held = this.load.get(client);
    held?.set(symbol, (held.get(symbol) ?? 0) + 1);
    const stop = client.subscribe<MarketUpdate>(
      `price:${symbol}`,
      { event: ({ data }) => this.take(subscriber, symbol, data) },
      priority,
    );
    return () => {
      stop();
      const left = (held?.get(symbol) ?? 1) - 1;
      if (left > 0) held?.set(symbol, left);
      else held?.delete(symbol);
    };
  }

  private take(subscriber: Subscriber, symbol: string, update: MarketUpdate): void {
    this.history.push(update);
    if (subscriber.fresh.has(symbol)) this.replaced += 1;
    subscriber.fresh.set(symbol, update);
  }

  private flush(): void {
    const { batchInterval, batchSize, rateLimitPerSecond } = this.options;
    for (const subscriber of this.subscribers.values()) {
      subscriber.allowance = Math.min(
        rateLimitPerSecond,
        subscriber.allowance + (rateLimitPerSecond * batchInterval) / 1000,
      );
      const count = Math.min(batchSize, Math.floor(subscriber.allowance), subscriber.fresh.size);
      if (count === 0) continue;
      const batch = [...subscriber.fresh].slice(0, count);
      for (const [symbol] of batch) subscriber.fresh.delete(symbol);
      subscriber.allowance -= count;
      this.delivered += count;
      subscriber.callback(batch.map(([, update]) => update));
    }
  }

  /** The one that has the symbol, else the first with room, else a new one, else the least laden. */
  private clientFor(symbol: string): RealtimeClient {
    const sizeOf = (client: RealtimeClient) => this.load.get(client)?.size ?? 0;
    const holder = this.clients.find((client) => this.load.get(client)?.has(symbol));
    const roomy = this.clients.find((client) => sizeOf(client) < SYMBOLS_PER_CONNECTION);
    if (holder ?? roomy) return (holder ?? roomy) as RealtimeClient;
    if (this.clients.length < this.options.maxConnections) return this.addClient();
    return [...this.clients].sort((a, b) => sizeOf(a) - sizeOf(b))[0] as RealtimeClient;
  }

  private addClient(): RealtimeClient {
    const client = new RealtimeClient(this.options.url, { intervalMs: Math.max(50, this.options.batchInterval) });
    this.clients.push(client);
    this.load.set(client, new Map());
    client.connect();
    return client;
  }
}

let shared: MarketDataStream | undefined;

/** The page's one stream; the options count when it is made. */
export function getMarketDataStream(options: Partial<StreamOptions> = {}): MarketDataStream {
  shared ??= new MarketDataStream(options);
  return shared;
}

export function defaultUrl(): string {
  return `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/realtime/`;
}
