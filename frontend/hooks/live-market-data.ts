import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { Bounded } from "../client/buffer";
import { RealtimeClient } from "../client/client";
import { defaultUrl } from "../client/stream";
import { useClient } from "./realtime";

export interface MarketData {
  symbol: string;
  price: number | null;
  change: number | null;
  change_percent: number | null;
  volume: number | null;
  high: number | null;
  low: number | null;
  bid: number | null;
  ask: number | null;
  [name: string]: unknown;
}

export interface OrderBook {
  symbol: string;
  status: "syncing" | "live" | "stale";
  bids: [price: number, quantity: number][];
  asks: [price: number, quantity: number][];
  spread: number | null;
  [name: string]: unknown;
}

interface Options {
  symbols: string[];
  enableOrderBook?: boolean;
  /** Milliseconds between two drawings. */
  throttleInterval?: number;
  /** Updates kept, of all symbols together. */
  bufferSize?: number;
  /** Of another installation than the page's. */
  url?: string;
}

interface Shown {
  marketData: Record<string, MarketData>;
  orderBooks: Record<string, OrderBook>;
  messageCount: number;
  dataRate: number;
}

const NOTHING: Shown = { marketData: {}, orderBooks: {}, messageCount: 0, dataRate: 0 };
const RATE_WINDOW_MS = 5000;

/** Live prices (and books) of some symbols, drawn at a bounded pace. By the page's connection where it has one. */
export function useLiveMarketData({
  symbols,
  enableOrderBook = false,
  throttleInterval = 100,
  bufferSize = 1000,
  url,
}: Options) {
  const client = useOwnOrShared(url);
  const [chosen, setChosen] = useState<string[]>(() => unique(symbols));
  const [shown, setShown] = useState<Shown>(NOTHING);
  const [isConnected, setConnected] = useState(client.status.phase === "live");
  const waiting = useRef<Shown>(NOTHING);
  const buffer = useMemo(() => new Bounded<MarketData>(bufferSize), [bufferSize]);
  const times = useMemo(() => new Bounded<number>(bufferSize), [bufferSize]);

  const asked = unique(symbols).join(" ");
  useEffect(() => setChosen(asked === "" ? [] : asked.split(" ")), [asked]);
  useEffect(() => client.onStatus(() => setConnected(client.status.phase === "live")), [client]);
  useEffect(() => {
    const stops = chosen.flatMap((symbol) => [
      client.subscribe<MarketData>(`price:${symbol}`, {
        event: ({ data }) => {
          buffer.push(data);
          times.push(Date.now());
          const { marketData, messageCount } = waiting.current;
          const next = { ...marketData, [symbol]: data };
          waiting.current = { ...waiting.current, marketData: next, messageCount: messageCount + 1 };
        },
      }),
      ...(enableOrderBook
        ? [
            client.subscribe<OrderBook>(`book:${symbol}`, {
              event: ({ data }) => {
                const { orderBooks, messageCount } = waiting.current;
                const next = { ...orderBooks, [symbol]: data };
                waiting.current = { ...waiting.current, orderBooks: next, messageCount: messageCount + 1 };
              },
            }),
          ]
        : []),
    ]);
    return () => {
      for (const stop of stops) stop();
    };
  }, [client, chosen, enableOrderBook, buffer, times]);
  useEffect(() => {
    const draw = () => {
      const recent = times.all().filter((at) => at > Date.now() - RATE_WINDOW_MS).length;
      const dataRate = recent / (RATE_WINDOW_MS / 1000);
      setShown((before) => {
        const same = before.messageCount === waiting.current.messageCount && before.dataRate === dataRate;
        return same ? before : { ...waiting.current, dataRate };
      });
    };
    const timer = setInterval(draw, throttleInterval);
    return () => clearInterval(timer);
  }, [throttleInterval, times]);

  const subscribe = useCallback(
    (more: string | string[]) => setChosen((before) => unique([...before, ...list(more)])),
    [],
  );
  const unsubscribe = useCallback((less: string | string[]) => {
    const gone = list(less);
    setChosen((before) => before.filter((symbol) => !gone.includes(symbol)));
    const { marketData, orderBooks } = waiting.current;
    waiting.current = {
      ...waiting.current,
      marketData: without(marketData, gone),
      orderBooks: without(orderBooks, gone),
    };
  }, []);
  /** The newest of one symbol, whether or not it has been drawn. */
  const getMarketData = useCallback((symbol: string) => waiting.current.marketData[symbol], []);
  return { ...shown, isConnected, subscribe, unsubscribe, getMarketData, activeSymbolCount: chosen.length };
}

/** The page's client, or one of the component's own where there is none. */
function useOwnOrShared(url: string | undefined): RealtimeClient {
  const shared = useClient();
  const own = useMemo(
    () => (shared === null || url !== undefined ? new RealtimeClient(url ?? defaultUrl()) : null),
    [shared, url],
  );
  useEffect(() => {
    own?.connect();
    return () => own?.close();
  }, [own]);
  return (own ?? shared) as RealtimeClient;
}

function unique(symbols: string[]): string[] {
  return [...new Set(symbols)];
}

function list(one: string | string[]): string[] {
  return typeof one === "string" ? [one] : one;
}

function without<T>(record: Record<string, T>, names: string[]): Record<string, T> {
  return Object.fromEntries(Object.entries(record).filter(([name]) => !names.includes(name)));
}
