import { useEffect, useId, useState } from "react";
import { getInstruments } from "../api";
import { age, price } from "../format";
import { useResource } from "../hooks/resource";
import type { useSignals } from "../hooks/signals";
import { badgeOf, basisOf, EVERYTHING, type Filter, remaining, type Signal, statusOf } from "../signals";
import { Segments, SelectField, TextField } from "./field";
import { Empty, Failure, Skeleton } from "./states";

const WHEN = [
  ["all", "All"],
  ["active", "Active"],
  ["over", "Over"],
] as const;
const TYPES = [
  ["", "Any"],
  ["BUY", "Buy"],
  ["SELL", "Sell"],
] as const;
const WHOSE = [
  ["all", "All"],
  ["house", "House"],
  ["own", "Mine"],
] as const;
const CONFIDENCES = [
  ["", "Any"],
  ["60", "60 +"],
  ["70", "70 +"],
  ["80", "80 +"],
  ["90", "90 +"],
] as const;

interface FilterProps {
  filter: Filter;
  /** Their names. */
  strategies: string[];
  change: (filter: Filter) => void;
}

export function SignalFilters({ filter, strategies, change }: FilterProps) {
  const set = (changes: Partial<Filter>) => change({ ...filter, ...changes });
  return (
    <form className="signal-filters" onSubmit={(event) => event.preventDefault()} aria-label="Which signals">
      <Segments legend="When" name="when" value={filter.when} choices={WHEN} change={(when) => set({ when })} />
      <div className="form-row">
        <InstrumentField chosen={filter.symbol} choose={(symbol) => set({ symbol })} />
        <SelectField
          label="Strategy"
          value={filter.strategy}
          choices={[["", "Any"], ...strategies.map((name) => [name, name] as const)]}
          change={(strategy) => set({ strategy })}
        />
        <SelectField
          label="Type"
          value={filter.type}
          choices={TYPES}
          change={(type) => set({ type: type as Filter["type"] })}
        />
        <SelectField
          label="Confidence"
          value={filter.confidence}
          choices={CONFIDENCES}
          change={(confidence) => set({ confidence })}
        />
        <SelectField
          label="Of"
          value={filter.whose}
          choices={WHOSE}
          change={(whose) => set({ whose: whose as Filter["whose"] })}
        />
      </div>
    </form>
  );
}

/** Typed or chosen; it counts once it is the symbol of an instrument, or empty. */
export function InstrumentField({ chosen, choose }: { chosen: string; choose: (symbol: string) => void }) {
  const id = useId();
  const instruments = useResource("instruments", getInstruments);
  const [text, setText] = useState(chosen);
  useEffect(() => setText(chosen), [chosen]);
  const known = instruments.data ?? [];
  const symbol = text.trim().toUpperCase();
  const type = (typed: string) => {
    setText(typed);
    const wanted = typed.trim().toUpperCase();
    if (wanted === "" || known.some((each) => each.symbol === wanted)) choose(wanted);
  };
  const isHopeless = instruments.data !== undefined && !known.some((each) => each.symbol.startsWith(symbol));
  return (
    <>
      <TextField
        label="Instrument"
        placeholder="Any instrument"
        list={id}
        value={text}
        error={isHopeless ? "There is no such instrument" : undefined}
        change={type}
      />
      <datalist id={id}>
        {known.map(({ symbol, name }) => (
          <option key={symbol} value={symbol}>
            {name}
          </option>
        ))}
      </datalist>
    </>
  );
}

interface ListProps {
  signals: ReturnType<typeof useSignals>;
  filter: Filter;
  chosen: string | null;
  choose: (id: string) => void;
  clear: () => void;
}

export function SignalList({ signals, filter, chosen, choose, clear }: ListProps) {
  const { page, shown, fresh, now, next, more, older } = signals;
  if (shown.length === 0 && page.data === undefined) {
    if (page.error === undefined) return <Skeleton rows={8} className="tall" />;
    return <Failure what="Signals could not be loaded" error={page.error} retry={page.reload} />;
  }
  return (
    <>
      {shown.length === 0 && <Nothing filter={filter} clear={clear} />}
      <ul className="signal-list">
        {shown.map((signal) => (
          <Row
            key={signal.signal_id}
            signal={signal}
            now={now}
            fresh={fresh.has(signal.signal_id)}
            chosen={signal.signal_id === chosen}
            choose={choose}
          />
        ))}
      </ul>
      {next !== null && (
        <div className="list-more">
          <button type="button" className="button" disabled={older.busy} onClick={more}>
            {older.busy ? "Loading …" : "Older signals"}
          </button>
          {older.error !== null && (
            <p className="field-error" role="alert">
              {older.error}
            </p>
          )}
        </div>
      )}
    </>
  );
}

function Nothing({ filter, clear }: { filter: Filter; clear: () => void }) {
  const isWide = JSON.stringify(filter) === JSON.stringify(EVERYTHING);
  if (isWide) return <Empty title="No signals yet">Strategies speak at the close of bars: theirs appear here.</Empty>;
  return (
    <div className="notice">
      <p className="notice-title">No signal is like that</p>
      <button type="button" className="button" onClick={clear}>
        Show all
      </button>
    </div>
  );
}

interface RowProps {
  signal: Signal;
  now: number;
  fresh: boolean;
  chosen: boolean;
  choose: (id: string) => void;
}

function Row({ signal, now, fresh, chosen, choose }: RowProps) {
  const { signal_id, symbol, strategy, interval } = signal;
  return (
    <li className="signal-row" data-signal={signal_id} data-status={statusOf(signal, now)} data-fresh={fresh}>
      <button
        type="button"
        className="signal-open"
        aria-current={chosen ? "true" : undefined}
        onClick={() => choose(signal_id)}
      >
        <span className="signal-what">
          <Side signal={signal} />
          <span className="symbol">{symbol}</span>
          <span className="signal-entry">{price(signal.entry_price)}</span>
        </span>
        <span className="signal-meta muted">
          {strategy}
          {interval !== undefined && ` · ${interval}`}
          {signal.private === true && " · mine"}
        </span>
        <span className="signal-state">
          <StatusBadge signal={signal} now={now} />
          <span className="muted">{remaining(signal, now) ?? `${since(now - Date.parse(signal.time))}`}</span>
        </span>
        <Confidence signal={signal} />
      </button>
    </li>
  );
}

function since(ms: number): string {
  const text = age(ms);
  return text === "now" ? "just now" : `${text} ago`;
}

const ARROWS = { BUY: "▲", SELL: "▼", HOLD: "■" } as const;
const WAYS = { BUY: "up", SELL: "down", HOLD: "flat" } as const;

/** Arrow, word and colour say the same. */
export function Side({ signal: { signal_type } }: { signal: Signal }) {
  return (
    <span className={`side ${WAYS[signal_type]}`}>
      <span aria-hidden="true">{ARROWS[signal_type]}</span> {signal_type}
    </span>
  );
}

export function StatusBadge({ signal, now }: { signal: Signal; now: number }) {
  const [tone, words] = badgeOf(statusOf(signal, now));
  return <span className={`badge ${tone}`}>{words}</span>;
}

/** How sure it is, and what that rests on. */
export function Confidence({ signal }: { signal: Signal }) {
  const { calibrated, word, sentence } = basisOf(signal.confidence_basis);
  return (
    <span className="confidence" title={sentence}>
      <span className="confidence-words">
        {signal.strength.toLowerCase()} · <strong>{Math.round(signal.confidence_score)}</strong>
        <span className={calibrated ? "" : "muted"}> {word}</span>
      </span>
      <span className="confidence-track" aria-hidden="true">
        <span
          className={calibrated ? "confidence-bar calibrated" : "confidence-bar"}
          style={{ width: `${signal.confidence_score}%` }}
        />
      </span>
    </span>
  );
}
