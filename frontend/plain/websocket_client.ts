/**
 * The client for pages without a build: `<script src="/static/js/websocket_client.js">`, then
 *
 *     const stop = websocketClient.subscribeToSymbol("BTC-USDT", (update) => …);
 *     websocketClient.filterSignals({ symbol: "BTC-USDT", signal_type: "BUY" }, (signal) => …);
 *     websocketClient.markNotificationRead("17");
 *
 * It connects when it is first asked for something, comes back after a loss, and polls where sockets are blocked.
 */

import { type Metrics, RealtimeClient } from "../client";
import { defaultUrl } from "../client/stream";

type Handler = (data: Record<string, unknown>) => void;

interface SignalFilter {
  symbol?: string;
  signal_type?: "BUY" | "SELL" | "HOLD";
}

class PageClient {
  private client: RealtimeClient | null = null;
  private stopSignals: (() => void) | null = null;

  /** Prices of a symbol. Returns how to stop. */
  subscribeToSymbol(symbol: string, handler: Handler = dispatch("market_data")): () => void {
    return this.connected().subscribe<Record<string, unknown>>(`price:${symbol}`, {
      event: ({ data }) => handler(data),
    });
  }

  /** Signals, of one symbol or one kind if wanted; a new filter replaces the one before. Needs a sign-in. */
  filterSignals(filter: SignalFilter = {}, handler: Handler = dispatch("signal")): () => void {
    this.stopSignals?.();
    const topic = filter.symbol === undefined ? "signals" : `signals:${filter.symbol}`;
    const fits = (data: Record<string, unknown>) =>
      filter.signal_type === undefined || data.signal_type === filter.signal_type;
    this.stopSignals = this.connected().subscribe<Record<string, unknown>>(topic, {
      event: ({ data }) => fits(data) && handler(data),
    });
    return this.stopSignals;
  }

  /** New notifications. Needs a sign-in. */
  onNotification(handler: Handler): () => void {
    return this.connected().subscribe<Record<string, unknown>>("notifications", {
      event: ({ type, data }) => type === "notification" && handler(data),
    });
  }

  markNotificationRead(notificationId: string | number): void {
    this.connected().send("mark_read", { notification_ids: [notificationId] });
  }

  onRefusal(handler: (refusal: { code: string | number; message: string }) => void): () => void {
    return this.connected().onRefusal(handler);
  }

  getMetrics(): Metrics | null {
    return this.client?.metrics() ?? null;
  }

  disconnect(): void {
    this.client?.close();
    this.client = null;
    this.stopSignals = null;
  }

  private connected(): RealtimeClient {
    if (this.client === null) {
      this.client = new RealtimeClient(defaultUrl());
      this.client.connect();
    }
    return this.client;
  }
}

/** Where no handler is given: an event on the document, `tapehouse:market_data`. */
function dispatch(name: string): Handler {
  return (detail) => document.dispatchEvent(new CustomEvent(`tapehouse:${name}`, { detail }));
}

declare global {
  interface Window {
    websocketClient: PageClient;
  }
}

window.websocketClient = new PageClient();
