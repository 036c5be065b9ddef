import { lazy, type ReactNode, Suspense, useMemo } from "react";
import { moment, percent, price, priceDecimals, signed, UNKNOWN } from "../format";
import { useResource } from "../hooks/resource";
import type { Theme } from "../hooks/theme";
import { getMood } from "../news";
import {
  away,
  basisOf,
  getOutcome,
  type Outcome,
  remaining,
  resultOf,
  rewardToRisk,
  type Signal,
  statusOf,
} from "../signals";
import type { Level } from "./candle-chart";
import { SentimentBadge } from "./news-list";
import { Side, StatusBadge } from "./signal-list";
import { Failure, Skeleton } from "./states";
import { Term, Terms } from "./terms";

// The chart is most of the page's weight: who reads only the list does without it.
const Chart = lazy(() => import("./chart").then(({ Chart }) => ({ default: Chart })));

interface Props {
  signal: Signal;
  now: number;
  theme: Theme;
  /** The signal that stands for it now, where it was superseded and that is known. */
  successor: Signal | undefined;
  choose: (id: string) => void;
}

export function SignalDetail({ signal, now, theme, successor, choose }: Props) {
  const { entry_price, target_price, stop_loss } = signal;
  const levels = useMemo(() => levelsOf(entry_price, target_price, stop_loss), [entry_price, target_price, stop_loss]);
  return (
    <div className="signal-detail">
      <div className="signal-title">
        <h2 tabIndex={-1}>
          <Side signal={signal} /> {signal.symbol}
        </h2>
        <StatusBadge signal={signal} now={now} />
      </div>
      {signal.reason !== undefined && <p>{signal.reason}</p>}
      {signal.status === "SUPERSEDED" && <Superseded successor={successor} choose={choose} />}
      {signal.interval !== undefined && (
        <div className="signal-chart">
          <Suspense fallback={<Skeleton rows={1} />}>
            <Chart symbol={signal.symbol} interval={signal.interval} theme={theme} levels={levels} />
          </Suspense>
        </div>
      )}
      <Levels signal={signal} />
      <Became signal={signal} now={now} />
      <About signal={signal} now={now} choose={choose} />
      <p className="signal-links">
        <a href={`/?symbol=${encodeURIComponent(signal.symbol)}`}>Open {signal.symbol}</a>
        <a href={`/alerts/?new=${encodeURIComponent(signal.symbol)}`}>Make an alert on it</a>
      </p>
    </div>
  );
}

function levelsOf(entry: number | null, target: number | null, stop: number | null): Level[] {
  return [
    { price: entry, label: "Entry", tone: "accent" as const },
    { price: target, label: "Target", tone: "up" as const },
    { price: stop, label: "Stop", tone: "down" as const },
  ].flatMap(({ price, ...rest }) => (price === null ? [] : [{ price, ...rest }]));
}

function Superseded({ successor, choose }: { successor: Signal | undefined; choose: (id: string) => void }) {
  return (
    <p className="superseded">
      The bars that it was made of turned out to have been others.{" "}
      {successor === undefined ? (
        "It stays as it was said."
      ) : (
        <button type="button" className="link" onClick={() => choose(successor.signal_id)}>
          What is said instead
        </button>
      )}
    </p>
  );
}

/** Entry, target and stop beside each other. */
function Levels({ signal }: { signal: Signal }) {
  const { entry_price: entry, target_price: target, stop_loss: stop } = signal;
  const ratio = rewardToRisk(signal);
  return (
    <dl className="levels">
      <PriceLevel name="Entry" value={entry} entry={entry} />
      <PriceLevel name="Target" value={target} entry={entry} />
      <PriceLevel name="Stop" value={stop} entry={entry} />
      <div>
        <dt>Reward to risk</dt>
        <dd className="level-price">{ratio === null ? UNKNOWN : ratio.toFixed(2)}</dd>
      </div>
    </dl>
  );
}

function PriceLevel({ name, value, entry }: { name: string; value: number | null; entry: number | null }) {
  const way = name === "Entry" ? null : away(entry, value);
  return (
    <div>
      <dt>{name}</dt>
      <dd className="level-price">{price(value, entry === null ? undefined : priceDecimals(entry))}</dd>
      {way !== null && <dd className="muted">{percent(way)}</dd>}
    </div>
  );
}

/** What became of it, once it is over. */
function Became({ signal, now }: { signal: Signal; now: number }) {
  const status = statusOf(signal, now);
  // A signal from outside is told, and not kept: nobody scores it.
  const isKept = signal.interval !== undefined;
  const key = isKept && status !== "ACTIVE" ? `outcome:${signal.signal_id}:${signal.status}` : null;
  const outcome = useResource(key, (abort) => getOutcome(signal.signal_id, abort));
  if (key === null) return null;
  return (
    <section className="outcome" aria-label="Outcome">
      <h3>What became of it</h3>
      {outcome.data !== undefined ? (
        <Result outcome={outcome.data} />
      ) : outcome.error !== undefined ? (
        <Failure what="Its outcome could not be loaded" error={outcome.error} retry={outcome.reload} />
      ) : (
        <Skeleton rows={1} />
      )}
    </section>
  );
}

function Result({ outcome }: { outcome: Outcome }) {
  if (outcome.result === null) return <p className="muted">It is over, and scored at the close of its next bar.</p>;
  const { return_percent, return_r, mfe_percent, mfe_r, mae_percent, mae_r } = outcome;
  return (
    <>
      <p>{resultOf(outcome)}</p>
      {outcome.result !== "skipped" && (
        <Terms>
          <Term name="Returned">{both(return_percent, return_r)}</Term>
          <Term name="Best meanwhile">{both(mfe_percent, mfe_r)}</Term>
          <Term name="Worst meanwhile">{both(mae_percent, mae_r)}</Term>
          <Term name="Left at">{price(outcome.exit_price)}</Term>
          <Term name="Held">{bars(outcome.bars_held)}</Term>
          {outcome.at !== null && <Term name="Over at">{moment(outcome.at)}</Term>}
        </Terms>
      )}
    </>
  );
}

/** In percent, and in multiples of what was at risk. */
function both(inPercent: number | null, inR: number | null): ReactNode {
  return (
    <>
      {percent(inPercent)}
      {inR !== null && <span className="muted"> · {signed(inR)} R</span>}
    </>
  );
}

function bars(count: number | null): string {
  if (count === null) return UNKNOWN;
  return `${count} ${count === 1 ? "bar" : "bars"}`;
}

function About({ signal, now, choose }: Pick<Props, "signal" | "now" | "choose">) {
  const mood = useResource(`mood:${signal.symbol}`, (abort) => getMood(signal.symbol, abort));
  const { supersedes } = signal;
  return (
    <Terms>
      <Term name="Confidence">
        {Math.round(signal.confidence_score)} of 100
        <span className="term-more">{basisOf(signal.confidence_basis).sentence}</span>
      </Term>
      <Term name="Strategy">
        {signal.strategy}
        {signal.strategy_key !== undefined && <span className="term-more">{signal.strategy_key}</span>}
      </Term>
      <Term name="Said at">{moment(signal.time)}</Term>
      {signal.expires_at !== null && (
        <Term name="Holds until">
          {moment(signal.expires_at)}
          <span className="term-more">{remaining(signal, now) ?? "It is over."}</span>
        </Term>
      )}
      {mood.data !== undefined && mood.data.score !== null && mood.data.label !== null && (
        <Term name="News of a day">
          <SentimentBadge sentiment={{ score: mood.data.score, label: mood.data.label }} />
          <span className="term-more">
            {mood.data.count} {mood.data.count === 1 ? "article" : "articles"}, heuristic
          </span>
        </Term>
      )}
      {supersedes != null && (
        <Term name="Stands for">
          <button type="button" className="link" onClick={() => choose(supersedes)}>
            an earlier signal
          </button>
        </Term>
      )}
    </Terms>
  );
}
