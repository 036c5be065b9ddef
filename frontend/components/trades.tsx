import { useState } from "react";
import type { AssetUpdate, Trade } from "../api";
import { ARROWS, clock, price, priceDecimals, size } from "../format";
import { useEvents, useTopic } from "../hooks/realtime";
import { Empty, Skeleton } from "./states";

export const TRADES_MAX = 40;

/** The newest trades first, each once: a snapshot after a reconnect may bring ones that are known. Pure. */
export function mergeTrades(known: Trade[], came: Trade[]): Trade[] {
  const byId = new Map([...known, ...came].map((trade) => [`${trade.trade_id}`, trade]));
  return [...byId.values()]
    .sort((a, b) => Date.parse(b.timestamp) - Date.parse(a.timestamp) || Number(b.trade_id) - Number(a.trade_id))
    .slice(0, TRADES_MAX);
}

/** The latest trades of one instrument; give it the symbol as `key` too, so that another one starts empty. */
export function Trades({ symbol }: { symbol: string }) {
  const [trades, setTrades] = useState<Trade[]>([]);
  useEvents<{ trades: Trade[] }>(`trades:${symbol}`, {
    event: ({ data }) => setTrades((known) => mergeTrades(known, data.trades)),
  });
  // Both snapshots come together: once there is a price, an empty list is one.
  const priced = useTopic<AssetUpdate>(`price:${symbol}`) !== undefined;
  return (
    <section className="card trades" aria-label={`Latest trades of ${symbol}`}>
      <div className="card-head">
        <h2>Trades</h2>
      </div>
      {trades.length > 0 ? (
        <List trades={trades} />
      ) : priced ? (
        <Empty title="No trades yet">They appear as they happen.</Empty>
      ) : (
        <Skeleton rows={8} />
      )}
    </section>
  );
}

function List({ trades }: { trades: Trade[] }) {
  const decimals = priceDecimals(trades[0]?.price ?? 0);
  return (
    <div className="scroll">
      <table className="tape">
        <thead>
          <tr>
            <th scope="col">Price</th>
            <th scope="col" className="number">
              Size
            </th>
            <th scope="col" className="number">
              Time
            </th>
          </tr>
        </thead>
        <tbody>
          {trades.map((trade) => (
            <tr key={trade.trade_id}>
              <td>
                <Side side={trade.side} />
                {price(trade.price, decimals)}
              </td>
              <td className="number">{size(trade.quantity)}</td>
              <td className="number muted">{clock(trade.timestamp)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Side({ side }: { side: Trade["side"] }) {
  if (side === null) return null;
  const way = side === "buy" ? "up" : "down";
  return (
    <span className={`change ${way}`} title={side === "buy" ? "Buyer took" : "Seller took"}>
      <span className="arrow" aria-hidden="true">
        {ARROWS[way]}
      </span>
      <span className="spoken">{side} </span>
    </span>
  );
}
