import type { Candle } from "../api";
import { direction } from "../format";

const WIDTH = 64;
const HEIGHT = 24;
const INSET = 1.5;

/** The points of a line through the values, drawn into the box; empty for fewer than two values. Pure. */
export function line(values: number[]): string {
  if (values.length < 2) return "";
  const low = Math.min(...values);
  const span = Math.max(...values) - low;
  const x = (index: number) => INSET + (index / (values.length - 1)) * (WIDTH - 2 * INSET);
  const y = (value: number) => INSET + (span === 0 ? 0.5 : 1 - (value - low) / span) * (HEIGHT - 2 * INSET);
  return values.map((value, index) => `${x(index).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
}

/** The last day in a line: decoration beside the figures, so hidden from readers of text. */
export function Sparkline({ candles, last }: { candles: Candle[] | undefined; last: number | null | undefined }) {
  const closes = (candles ?? []).map((candle) => candle.close);
  const values = last == null ? closes : [...closes.slice(0, -1), last];
  const way = direction((values.at(-1) ?? 0) - (values[0] ?? 0));
  return (
    <svg
      className={`sparkline ${way}`}
      width={WIDTH}
      height={HEIGHT}
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      aria-hidden="true"
    >
      <polyline points={line(values)} />
    </svg>
  );
}
