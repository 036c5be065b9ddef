import { memo } from "react";
import type { AssetUpdate } from "../api";
import { price, quantity } from "../format";
import { useLastDay } from "../hooks/last-day";
import { useTopic } from "../hooks/realtime";
import { Change } from "./change";
import { Flash } from "./flash";
import { FreshnessBadge } from "./freshness";
import { Sparkline } from "./sparkline";
import { Empty } from "./states";

export interface Followed {
  symbol: string;
  /** Subscriptions to it, over all connections, this page's own too. */
  subscribers: number;
}

/** What most people follow, as it moves. */
export function PricesCard({ followed }: { followed: Followed[] }) {
  return (
    <section className="card prices-card" aria-label="Most followed">
      <div className="card-head">
        <h2>Most followed</h2>
      </div>
      {followed.length === 0 ? (
        <Empty title="No instruments yet">A feed brings them along.</Empty>
      ) : (
        <ul className="price-tiles">
          {followed.map(({ symbol, subscribers }) => (
            <Tile key={symbol} symbol={symbol} subscribers={subscribers} />
          ))}
        </ul>
      )}
    </section>
  );
}

const Tile = memo(function Tile({ symbol, subscribers }: Followed) {
  const update = useTopic<AssetUpdate>(`price:${symbol}`);
  const day = useLastDay(symbol);
  return (
    <li>
      <a className="price-tile" href={`/?symbol=${encodeURIComponent(symbol)}`} data-symbol={symbol}>
        <span className="tile-head">
          <span className="symbol">{symbol}</span>
          <span className="tile-followers muted">{quantity(subscribers)} following</span>
        </span>
        <span className="tile-quote">
          <Flash value={update?.price}>
            <span className="price">{price(update?.price)}</span>
          </Flash>
          <Change value={update?.change_percent} />
        </span>
        <span className="tile-foot">
          <FreshnessBadge update={update} />
          <Sparkline candles={day.data} last={update?.price} />
        </span>
      </a>
    </li>
  );
});
