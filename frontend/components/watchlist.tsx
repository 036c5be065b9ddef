import { type KeyboardEvent, memo, useEffect, useMemo, useRef, useState } from "react";
import type { AssetUpdate, Instrument } from "../api";
import { price, priceDecimals, UNKNOWN } from "../format";
import { useLastDay } from "../hooks/last-day";
import { useTopic } from "../hooks/realtime";
import type { Resource } from "../hooks/resource";
import { Change } from "./change";
import { Flash } from "./flash";
import { FreshnessBadge } from "./freshness";
import { Icon } from "./icons";
import { Sparkline } from "./sparkline";
import { Empty, Failure, Skeleton } from "./states";

/** A connection may follow 50 topics; the rest of the page needs a few of them. */
export const LIVE_ROWS_MAX = 30;

interface Props {
  instruments: Resource<Instrument[]>;
  chosen: string | null;
  choose: (symbol: string) => void;
}

export function matches(instrument: Instrument, filter: string): boolean {
  const text = `${instrument.symbol} ${instrument.name} ${instrument.kind} ${instrument.exchange ?? ""}`.toLowerCase();
  return filter
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

export function Watchlist({ instruments, chosen, choose }: Props) {
  const [filter, setFilter] = useState("");
  const shown = useMemo(
    () => (instruments.data ?? []).filter((instrument) => matches(instrument, filter)),
    [instruments.data, filter],
  );
  return (
    <section className="card watchlist" aria-label="Watchlist">
      <div className="card-head">
        <h2>Watchlist</h2>
        <Filter value={filter} change={setFilter} />
      </div>
      <Body instruments={instruments} shown={shown} chosen={chosen} choose={choose} filter={filter} />
    </section>
  );
}

/** `/` leads here from anywhere, Escape clears it. */
function Filter({ value, change }: { value: string; change: (value: string) => void }) {
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const typed = (event: globalThis.KeyboardEvent) => {
      if (event.key !== "/" || event.target instanceof HTMLInputElement) return;
      event.preventDefault();
      input.current?.focus();
    };
    addEventListener("keydown", typed);
    return () => removeEventListener("keydown", typed);
  }, []);
  return (
    <label className="filter">
      <Icon name="search" size={14} />
      <input
        ref={input}
        type="search"
        placeholder="Filter"
        aria-label="Filter instruments"
        autoComplete="off"
        spellCheck={false}
        value={value}
        onInput={(event) => change(event.currentTarget.value)}
        onKeyDown={(event) => event.key === "Escape" && change("")}
      />
      <kbd>/</kbd>
    </label>
  );
}

function Body({ instruments, shown, chosen, choose, filter }: Props & { shown: Instrument[]; filter: string }) {
  if (instruments.error !== undefined && instruments.data === undefined) {
    return <Failure what="Instruments could not be loaded" error={instruments.error} retry={instruments.reload} />;
  }
  if (instruments.data === undefined) return <Skeleton rows={12} className="tall" />;
  if (instruments.data.length === 0) return <Empty title="No instruments yet">A feed brings them along.</Empty>;
  if (shown.length === 0) return <Empty title={`Nothing matches “${filter}”`} />;
  return (
    <>
      <Rows shown={shown} chosen={chosen} choose={choose} />
      {shown.length > LIVE_ROWS_MAX && (
        <p className="card-foot">The first {LIVE_ROWS_MAX} are live; filter to see others move.</p>
      )}
    </>
  );
}

function Rows({ shown, chosen, choose }: { shown: Instrument[]; chosen: string | null; choose: Props["choose"] }) {
  const body = useRef<HTMLTableSectionElement>(null);
  // One row is in the tab order: the chosen one, or the first when the chosen one is filtered out.
  const entry = shown.find(({ symbol }) => symbol === chosen)?.symbol ?? shown[0]?.symbol;
  return (
    <div className="scroll">
      {/* A table whose rows are chosen by arrow keys is what `grid` means. */}
      {/* biome-ignore lint/a11y/noNoninteractiveElementToInteractiveRole: see above */}
      <table className="grid" role="grid" aria-label="Instruments">
        <thead>
          <tr>
            <th scope="col">Instrument</th>
            <th scope="col" className="col-spark">
              <span className="spoken">Last day</span>
            </th>
            <th scope="col" className="number col-price">
              Price
            </th>
            <th scope="col" className="number col-quote">
              Bid / Ask
            </th>
            <th scope="col" className="number col-spread">
              Spread
            </th>
          </tr>
        </thead>
        <tbody ref={body} onKeyDown={(event) => moveFocus(event, body.current)}>
          {shown.map((instrument, index) => (
            <Row
              key={instrument.symbol}
              instrument={instrument}
              live={index < LIVE_ROWS_MAX}
              chosen={instrument.symbol === chosen}
              tabbable={instrument.symbol === entry}
              choose={choose}
            />
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Which row the key leads to, from row `at` of `count`; null for any other key. Pure. */
export function target(key: string, at: number, count: number): number | null {
  switch (key) {
    case "ArrowDown":
      return Math.min(at + 1, count - 1);
    case "ArrowUp":
      return Math.max(at - 1, 0);
    case "Home":
      return 0;
    case "End":
      return count - 1;
    default:
      return null;
  }
}

function moveFocus(event: KeyboardEvent, body: HTMLElement | null): void {
  const rows = [...(body?.querySelectorAll<HTMLElement>("tr") ?? [])];
  const next = target(event.key, rows.indexOf(document.activeElement as HTMLElement), rows.length);
  if (next === null) return;
  event.preventDefault();
  rows[next]?.focus();
}

interface RowProps {
  instrument: Instrument;
  live: boolean;
  chosen: boolean;
  tabbable: boolean;
  choose: (symbol: string) => void;
}

const Row = memo(function Row({ instrument, live, chosen, tabbable, choose }: RowProps) {
  const { symbol, name } = instrument;
  const update = useTopic<AssetUpdate>(live ? `price:${symbol}` : null);
  const history = useLastDay(symbol);
  const typed = (event: KeyboardEvent) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    choose(symbol);
  };
  return (
    <tr
      tabIndex={tabbable ? 0 : -1}
      aria-selected={chosen}
      data-symbol={symbol}
      onClick={() => choose(symbol)}
      onKeyDown={typed}
    >
      <th scope="row">
        <span className="symbol">{symbol}</span>
        <span className="name">{name}</span>
      </th>
      <td className="col-spark">
        <Sparkline candles={history.data} last={update?.price} />
      </td>
      <td className="number">
        <Flash value={update?.price}>
          <span className="price">{price(update?.price)}</span>
        </Flash>
        <span className="under">
          <Change value={update?.change_percent} />
        </span>
      </td>
      <td className="number col-quote">
        <Quote update={update} />
      </td>
      <td className="number col-spread">
        {spread(update)}
        <span className="under">
          <FreshnessBadge update={update} />
        </span>
      </td>
    </tr>
  );
});

function Quote({ update }: { update: AssetUpdate | undefined }) {
  const decimals = update?.price == null ? undefined : priceDecimals(update.price);
  return (
    <>
      <span className="bid">
        <span className="spoken">Bid </span>
        {price(update?.bid, decimals)}
      </span>
      <span className="under ask">
        <span className="spoken">Ask </span>
        {price(update?.ask, decimals)}
      </span>
    </>
  );
}

/** In basis points of the middle, which compare between instruments of any price. */
export function spread(update: AssetUpdate | undefined): string {
  if (update?.bid == null || update.ask == null) return UNKNOWN;
  const middle = (update.bid + update.ask) / 2;
  return middle > 0 ? `${(((update.ask - update.bid) / middle) * 10_000).toFixed(1)} bp` : UNKNOWN;
}
