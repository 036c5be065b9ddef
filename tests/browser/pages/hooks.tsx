/** Every hook at once, for the browser tests; built by them, never shipped. */

import { useState } from "react";
import { createRoot } from "react-dom/client";
import { getMarketDataStream } from "../../../frontend/client";
import { useLiveMarketData } from "../../../frontend/hooks/live-market-data";
import { useWebSocket } from "../../../frontend/hooks/web-socket";

const base = `ws://${location.host}`;

function Page() {
  const [heard, setHeard] = useState(0);
  const live = useLiveMarketData({
    symbols: ["BTC-USDT", "ETH-USDT"],
    enableOrderBook: true,
    throttleInterval: 100,
    url: `${base}/ws/realtime/`,
  });
  const socket = useWebSocket<{ type: string }>({
    url: `${base}/ws/market/`,
    onOpen: () => socket.sendMessage({ type: "subscribe", symbols: ["AAPL"] }),
    onMessage: () => setHeard((before) => before + 1),
  });
  return (
    <dl>
      <dd id="live">{String(live.isConnected)}</dd>
      <dd id="price">{live.marketData["BTC-USDT"]?.price ?? ""}</dd>
      <dd id="book">{live.orderBooks["ETH-USDT"]?.status ?? ""}</dd>
      <dd id="count">{live.messageCount}</dd>
      <dd id="active">{live.activeSymbolCount}</dd>
      <dd id="rate">{live.dataRate}</dd>
      <dd id="plain">{String(socket.isConnected)}</dd>
      <dd id="last">{socket.lastMessage?.type ?? ""}</dd>
      <dd id="heard">{heard}</dd>
      <button type="button" onClick={() => live.subscribe("SOL-USDT")}>
        more
      </button>
      <button type="button" onClick={() => live.unsubscribe("ETH-USDT")}>
        less
      </button>
    </dl>
  );
}

Object.assign(window, { stream: getMarketDataStream({ url: `${base}/ws/realtime/`, batchInterval: 100 }) });
const root = document.getElementById("page");
if (root !== null) createRoot(root).render(<Page />);
