import type { ReactNode } from "react";
import { age, moment, quantity } from "../format";
import { useServerNow } from "../hooks/clock";
import { type Polled, usePolled } from "../hooks/polled";
import type { Page } from "../http";
import { type Backfill, type Gap, getOpenGaps, getRunningBackfills } from "../status";
import { Empty, Failure, Skeleton } from "./states";

const LEDGER_MS = 15_000;

/** What is missing, and the history that is being fetched. */
export function LedgerCard({ staff }: { staff: boolean }) {
  const gaps = usePolled("gaps", getOpenGaps, LEDGER_MS);
  const backfills = usePolled("backfills", getRunningBackfills, LEDGER_MS);
  return (
    <section className="card ledger-card" aria-label="History">
      <div className="card-head">
        <h2>Open gaps</h2>
        {staff && <a href="/admin/ingestion/gap/">All of them</a>}
      </div>
      <Listed of={gaps} what="Gaps" none="Nothing is missing" row={(gap) => <GapRow key={gap.id} gap={gap} />} />
      <div className="card-head">
        <h2>Backfills at work</h2>
        {staff && <a href="/admin/ingestion/backfill/">All of them</a>}
      </div>
      <Listed
        of={backfills}
        what="Backfills"
        none="No history is being fetched"
        row={(backfill) => <BackfillRow key={backfill.id} backfill={backfill} />}
      />
    </section>
  );
}

interface ListedProps<T> {
  of: Polled<Page<T>>;
  what: string;
  none: string;
  row: (item: T) => ReactNode;
}

function Listed<T>({ of, what, none, row }: ListedProps<T>) {
  if (of.data === undefined) {
    if (of.error === undefined) return <Skeleton rows={1} />;
    return <Failure what={`${what} could not be loaded`} error={of.error} retry={of.reload} />;
  }
  if (of.data.results.length === 0) return <Empty title={none} />;
  return (
    <>
      <ul className="ledger">{of.data.results.map(row)}</ul>
      {of.data.next !== null && <p className="ledger-more muted">And more.</p>}
    </>
  );
}

function GapRow({ gap }: { gap: Gap }) {
  const now = useServerNow(1000);
  const lasted = age((gap.ended_at === null ? now : Date.parse(gap.ended_at)) - Date.parse(gap.started_at));
  return (
    <li className="ledger-row">
      <p>
        <span className="symbol">{gap.symbol ?? "Everything"}</span> <span className="muted">of {gap.provider}</span>
      </p>
      <p className="muted">
        {gap.cause}, since {moment(gap.started_at)}
        {gap.ended_at === null ? ", still open" : `, for ${lasted === "now" ? "less than a second" : lasted}`}
        {gap.ticks > 0 && ` · ${quantity(gap.ticks)} ticks`}
        {gap.attempts > 0 && ` · tried ${gap.attempts === 1 ? "once" : `${gap.attempts} times`}`}
      </p>
      {gap.detail !== "" && <p className="muted">{gap.detail}</p>}
    </li>
  );
}

const SYMBOLS_SHOWN = 3;

function BackfillRow({ backfill }: { backfill: Backfill }) {
  const { symbols, interval, provider, chunks, done, message } = backfill;
  const more = symbols.length - SYMBOLS_SHOWN;
  const names = symbols.slice(0, SYMBOLS_SHOWN).join(", ") || "Exchange rates";
  return (
    <li className="ledger-row">
      <p>
        <span className="symbol">{names}</span>
        <span className="muted">
          {more > 0 && ` and ${more} more`} · {interval} of {provider}
        </span>
      </p>
      <Progress done={done} total={chunks} label={`Backfill of ${names}`} />
      {message !== "" && <p className="muted">{message}</p>}
    </li>
  );
}

/** total: null while nobody knows how much there is to do. */
export function Progress({ done, total, label }: { done: number; total: number | null; label: string }) {
  return (
    <p className="progress">
      <progress aria-label={label} {...(total === null ? {} : { value: done, max: Math.max(total, 1) })} />
      <span className="muted">{total === null ? quantity(done) : `${quantity(done)} of ${quantity(total)}`}</span>
    </p>
  );
}
