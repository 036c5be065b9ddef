import { useCallback, useEffect, useRef, useState } from "react";
import { type AssetUpdate, type Candle, getCandles, INTERVALS, type Instrument, type Interval } from "../api";
import { price, priceDecimals, size } from "../format";
import { useGeneration, useTopic } from "../hooks/realtime";
import { useResource } from "../hooks/resource";
import type { Theme } from "../hooks/theme";
import { type Bar, barOf, CandleChart, type Level } from "./candle-chart";
import { Change } from "./change";
import { Flash } from "./flash";
import { FreshnessBadge } from "./freshness";
import { Empty, Failure } from "./states";
import "../styles/chart.css";

const HISTORY_BARS = 300;
const NO_LEVELS: readonly Level[] = [];

interface Props {
  instrument: Instrument;
  interval: Interval;
  setInterval: (interval: Interval) => void;
  theme: Theme;
}

export function ChartCard({ instrument, interval, setInterval, theme }: Props) {
  const update = useTopic<AssetUpdate>(`price:${instrument.symbol}`);
  return (
    <section className="card chart-card" aria-label={`${instrument.symbol} chart`}>
      <div className="card-head chart-head">
        <div className="quote">
          <h2>
            {instrument.symbol} <span className="name">{instrument.name}</span>
          </h2>
          <p className="quote-line">
            <Flash value={update?.price}>
              <span className="quote-price">{price(update?.price)}</span>
            </Flash>
            <span className="currency">{instrument.currency}</span>
            <Change value={update?.change_percent} />
            <FreshnessBadge update={update} />
            <a className="set-alert" href={`/alerts/?new=${encodeURIComponent(instrument.symbol)}`}>
              Set an alert
            </a>
          </p>
        </div>
        <IntervalSwitch interval={interval} setInterval={setInterval} />
      </div>
      <Chart symbol={instrument.symbol} interval={interval} theme={theme} />
    </section>
  );
}

function IntervalSwitch({ interval, setInterval }: Pick<Props, "interval" | "setInterval">) {
  return (
    <fieldset className="segments">
      <legend className="spoken">Interval</legend>
      {INTERVALS.map((each) => (
        <label key={each} className="segment">
          <input
            type="radio"
            name="interval"
            value={each}
            checked={each === interval}
            onChange={() => setInterval(each)}
          />
          <span>{each}</span>
        </label>
      ))}
    </fieldset>
  );
}

interface ChartProps {
  symbol: string;
  interval: Interval;
  theme: Theme;
  /** Prices to be marked. */
  levels?: readonly Level[];
}

export function Chart({ symbol, interval, theme, levels = NO_LEVELS }: ChartProps) {
  const element = useRef<HTMLDivElement>(null);
  const chart = useRef<CandleChart | null>(null);
  const [hovered, setHovered] = useState<Bar | undefined>(undefined);
  const key = `candles:${symbol}:${interval}`;
  const history = useResource(key, (signal) => getCandles(symbol, interval, HISTORY_BARS, signal));
  const live = useTopic<Candle>(key);
  const loadOlder = useOlder(symbol, interval, chart);

  useEffect(() => {
    if (element.current === null) return;
    const made = new CandleChart(element.current);
    made.onHover(setHovered);
    chart.current = made;
    return () => made.remove();
  }, []);
  useEffect(() => chart.current?.onEdge(loadOlder.current), [loadOlder]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the colours come from the page, which the theme changes
  useEffect(() => chart.current?.paint(), [theme]);
  useEffect(() => chart.current?.mark(levels), [levels]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another key is another chart
  useEffect(() => {
    chart.current?.clear();
    setHovered(undefined);
  }, [key]);
  useEffect(() => {
    if (history.data !== undefined) chart.current?.add(history.data.map(barOf));
  }, [history.data]);
  useEffect(() => {
    if (live !== undefined) chart.current?.update(barOf(live));
  }, [live]);
  useReloadAfterLoss(history.reload);

  const shown = hovered ?? (live === undefined ? history.data?.map(barOf).at(-1) : barOf(live));
  const bare = history.data?.length === 0 && live === undefined;
  return (
    <div className="chart-area">
      <Legend bar={shown} />
      <div
        ref={element}
        className="chart"
        role="img"
        aria-label={`Candles of ${symbol}, ${interval}. Last ${price(shown?.close)}`}
        data-ready={history.data !== undefined}
      />
      {history.error !== undefined && history.data === undefined ? (
        <div className="chart-cover">
          <Failure what="The history could not be loaded" error={history.error} retry={history.reload} />
        </div>
      ) : history.data === undefined ? (
        <div className="chart-cover" role="status" aria-label="Loading">
          <span className="skeleton chart-skeleton" />
        </div>
      ) : bare ? (
        <div className="chart-cover">
          <Empty title="No candles yet">The first trade draws the first one.</Empty>
        </div>
      ) : null}
    </div>
  );
}

function Legend({ bar }: { bar: Bar | undefined }) {
  if (bar === undefined) return null;
  const decimals = priceDecimals(bar.close);
  const figures = { O: bar.open, H: bar.high, L: bar.low, C: bar.close };
  return (
    <dl className="legend">
      {Object.entries(figures).map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{price(value, decimals)}</dd>
        </div>
      ))}
      <div>
        <dt>Vol</dt>
        <dd>{size(bar.volume)}</dd>
      </div>
      <Change value={bar.open > 0 ? (bar.close / bar.open - 1) * 100 : null} />
    </dl>
  );
}

/** Bars that closed while there was no connection are in the history only. */
function useReloadAfterLoss(reload: () => void): void {
  const generation = useGeneration();
  const seen = useRef(generation);
  useEffect(() => {
    if (generation > 1 && generation !== seen.current) reload();
    seen.current = generation;
  }, [generation, reload]);
}

/** Reads the bars before the first one, once at a time, until there are none. */
function useOlder(symbol: string, interval: Interval, chart: { current: CandleChart | null }) {
  const busy = useRef<AbortController | null>(null);
  const load = useCallback(() => {
    const first = chart.current?.firstTime;
    if (busy.current !== null || first === undefined) return;
    const abort = new AbortController();
    busy.current = abort;
    getCandles(symbol, interval, HISTORY_BARS, abort.signal, new Date(first * 1000).toISOString()).then(
      (candles) => {
        if (abort.signal.aborted) return;
        const older = candles.map(barOf).filter((bar) => bar.time < first);
        chart.current?.add(older);
        // Nothing older: stay busy, so that the edge asks no more.
        if (older.length > 0) busy.current = null;
      },
      () => {
        // A failed look back is no loss: scrolling there again asks again.
        if (!abort.signal.aborted) busy.current = null;
      },
    );
  }, [symbol, interval, chart]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another `load` looks at another chart
  useEffect(() => {
    return () => {
      busy.current?.abort();
      busy.current = null;
    };
  }, [load]);
  const stable = useRef(() => current.current());
  const current = useRef(load);
  current.current = load;
  return stable;
}
