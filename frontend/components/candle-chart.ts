/** The chart itself: lightweight-charts, told what to draw. */

import {
  type AutoscaleInfo,
  CandlestickSeries,
  ColorType,
  CrosshairMode,
  createChart,
  HistogramSeries,
  type IChartApi,
  type IPriceLine,
  type ISeriesApi,
  LineStyle,
  TickMarkType,
  type UTCTimestamp,
} from "lightweight-charts";
import type { Candle } from "../api";
import { price, priceDecimals } from "../format";

export interface Bar {
  time: UTCTimestamp;
  open: number;
  high: number;
  low: number;
  close: number;
  volume: number;
}

export function barOf({ time, open, high, low, close, volume }: Candle): Bar {
  return { time: (Date.parse(time) / 1000) as UTCTimestamp, open, high, low, close, volume };
}

/** A price to be marked by a line, such as the target of a signal. */
export interface Level {
  price: number;
  label: string;
  tone: "up" | "down" | "accent";
}

/** How many bars from the left edge older ones are asked for. */
const EDGE_BARS = 15;
const FIRST_BARS = 110;

export class CandleChart {
  private readonly element: HTMLElement;
  private readonly chart: IChartApi;
  private readonly candles: ISeriesApi<"Candlestick">;
  private readonly volumes: ISeriesApi<"Histogram">;
  private bars = new Map<number, Bar>();
  private lastTime = 0;
  private colors = { up: "", down: "" };
  private levels: readonly Level[] = [];
  private lines: IPriceLine[] = [];

  constructor(element: HTMLElement) {
    this.element = element;
    this.chart = createChart(element, {
      autoSize: true,
      crosshair: { mode: CrosshairMode.Normal },
      localization: { timeFormatter: (time: number) => longTime.format(time * 1000) },
      timeScale: {
        timeVisible: true,
        rightOffset: 4,
        tickMarkFormatter: (time: number, type: TickMarkType) => tickFormat(type).format(time * 1000),
      },
    });
    this.candles = this.chart.addSeries(CandlestickSeries, {
      borderVisible: false,
      priceLineStyle: LineStyle.Dashed,
      autoscaleInfoProvider: (own: () => AutoscaleInfo | null) => widened(own(), this.levels),
    });
    this.volumes = this.chart.addSeries(HistogramSeries, {
      priceScaleId: "volume",
      priceFormat: { type: "volume" },
      lastValueVisible: false,
      priceLineVisible: false,
    });
    this.candles.priceScale().applyOptions({ scaleMargins: { top: 0.08, bottom: 0.24 } });
    this.volumes.priceScale().applyOptions({ scaleMargins: { top: 0.84, bottom: 0 } });
    this.paint();
  }

  /** Take the colours from the page's style, anew after the theme changed. */
  paint(): void {
    const style = getComputedStyle(this.element);
    // A custom property reads as it was written, `light-dark(…)`: only a real property tells the colour in force.
    const color = (name: string) => {
      this.element.style.color = `var(--${name})`;
      return style.color;
    };
    this.colors = { up: color("up-soft"), down: color("down-soft") };
    this.chart.applyOptions({
      layout: {
        background: { type: ColorType.Solid, color: color("surface") },
        textColor: color("muted"),
        fontFamily: style.fontFamily,
        fontSize: 11,
      },
      grid: { vertLines: { visible: false }, horzLines: { color: color("line-soft") } },
      crosshair: { vertLine: crosshair(color), horzLine: crosshair(color) },
      rightPriceScale: { borderVisible: false },
      timeScale: { borderColor: color("line") },
    });
    const [up, down] = [color("up"), color("down")];
    this.candles.applyOptions({ upColor: up, downColor: down, wickUpColor: up, wickDownColor: down });
    this.drawLines(color);
    this.redraw();
  }

  /** Draw lines at these prices, and no others; all of them are in sight. */
  mark(levels: readonly Level[]): void {
    this.levels = levels;
    this.paint();
  }

  /** Another instrument or interval. */
  clear(): void {
    this.bars = new Map();
    this.lastTime = 0;
    this.redraw();
  }

  /** Join bars read over HTTP with what is there; they know better than what was pieced together live. */
  add(bars: Bar[]): void {
    const first = this.bars.size < 2;
    for (const bar of bars) this.bars.set(bar.time, bar);
    this.redraw();
    if (first && this.bars.size > 0) this.showNewest();
  }

  /** The live bar, or a revision of an older one. */
  update(bar: Bar): void {
    this.bars.set(bar.time, bar);
    if (bar.time < this.lastTime) this.redraw();
    else this.append(bar);
  }

  get firstTime(): number | undefined {
    return this.sorted()[0]?.time;
  }

  last(): Bar | undefined {
    return this.bars.get(this.lastTime);
  }

  onHover(listener: (bar: Bar | undefined) => void): void {
    this.chart.subscribeCrosshairMove(({ time }) => listener(this.bars.get(Number(time))));
  }

  /** Called when the reader scrolls towards the oldest bar. */
  onEdge(listener: () => void): void {
    this.chart.timeScale().subscribeVisibleLogicalRangeChange((range) => {
      if (range !== null && range.from < EDGE_BARS && this.bars.size > EDGE_BARS) listener();
    });
  }

  remove(): void {
    this.chart.remove();
  }

  private drawLines(color: (name: string) => string): void {
    for (const line of this.lines) this.candles.removePriceLine(line);
    this.lines = this.levels.map(({ price, label, tone }) =>
      this.candles.createPriceLine({
        price,
        title: label,
        color: color(tone),
        lineWidth: 1,
        lineStyle: LineStyle.Dashed,
      }),
    );
  }

  private append(bar: Bar): void {
    this.lastTime = bar.time;
    this.candles.update(bar);
    this.volumes.update(this.volumeOf(bar));
  }

  private sorted(): Bar[] {
    return [...this.bars.values()].sort((a, b) => a.time - b.time);
  }

  private redraw(): void {
    const bars = this.sorted();
    const last = bars.at(-1);
    this.lastTime = last?.time ?? 0;
    if (last !== undefined) {
      const decimals = priceDecimals(last.close);
      const formatter = (value: number) => price(value, decimals);
      this.candles.applyOptions({ priceFormat: { type: "custom", formatter, minMove: 10 ** -decimals } });
    }
    this.candles.setData(bars);
    this.volumes.setData(bars.map((bar) => this.volumeOf(bar)));
  }

  private volumeOf({ time, open, close, volume }: Bar) {
    return { time, value: volume, color: close >= open ? this.colors.up : this.colors.down };
  }

  private showNewest(): void {
    const count = this.bars.size;
    this.chart.timeScale().setVisibleLogicalRange({ from: Math.max(-1, count - FIRST_BARS), to: count + 3 });
  }
}

/** The range of prices on show, made wide enough for the levels. */
function widened(info: AutoscaleInfo | null, levels: readonly Level[]): AutoscaleInfo | null {
  if (info?.priceRange == null || levels.length === 0) return info;
  const prices = levels.map((level) => level.price);
  const { minValue, maxValue } = info.priceRange;
  return {
    ...info,
    priceRange: { minValue: Math.min(minValue, ...prices), maxValue: Math.max(maxValue, ...prices) },
  };
}

function crosshair(color: (name: string) => string) {
  return { color: color("faint"), labelBackgroundColor: color("ink") };
}

// Times are the reader's own, as everywhere on the page.
const longTime = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });
const TICK_FORMATS: Record<TickMarkType, Intl.DateTimeFormatOptions> = {
  [TickMarkType.Year]: { year: "numeric" },
  [TickMarkType.Month]: { month: "short" },
  [TickMarkType.DayOfMonth]: { day: "numeric", month: "short" },
  [TickMarkType.Time]: { hour: "2-digit", minute: "2-digit" },
  [TickMarkType.TimeWithSeconds]: { hour: "2-digit", minute: "2-digit", second: "2-digit" },
};
const tickFormats = new Map<TickMarkType, Intl.DateTimeFormat>();

function tickFormat(type: TickMarkType): Intl.DateTimeFormat {
  const format = tickFormats.get(type) ?? new Intl.DateTimeFormat("en-GB", TICK_FORMATS[type]);
  tickFormats.set(type, format);
  return format;
}
