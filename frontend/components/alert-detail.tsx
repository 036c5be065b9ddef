import { useState } from "react";
import { type Alert, type Firing, figures, isNamed, next, often, type Status } from "../alerts";
import { age, moment } from "../format";
import { useAction } from "../hooks/action";
import { useSend } from "../hooks/bootstrap";
import { useServerNow } from "../hooks/clock";
import { useHeard } from "../hooks/heard";
import { usePages } from "../hooks/pages";
import type { Method } from "../http";
import { StatusBadge } from "./alert-list";
import { Confirmed } from "./confirmed";
import { DryRunPart } from "./dry-run";
import { Failure, Skeleton } from "./states";
import { Term, Terms } from "./terms";

interface Props {
  alert: Alert;
  /** Grows when it has fired: its history is read anew. */
  heard: number;
  changed: (alert: Alert) => void;
  deleted: (id: number) => void;
  edit: () => void;
}

/** One alert: what it asks, what can be done with it, when it fired. */
export function AlertDetail({ alert, heard, changed, deleted, edit }: Props) {
  return (
    <div className="detail scroll">
      <div className="detail-head">
        <h2 tabIndex={-1}>{alert.name}</h2>
        <StatusBadge status={alert.status} />
      </div>
      {isNamed(alert) && <p className="muted">{alert.description}</p>}
      {alert.status === "broken" && <p className="form-error">{alert.reason}</p>}
      <Actions key={alert.id} alert={alert} changed={changed} deleted={deleted} edit={edit} />
      <AlertTerms alert={alert} />
      <Firings key={`firings ${alert.id}`} alert={alert} heard={heard} />
      <DryRunPart key={`past ${alert.id}`} url={`/api/alerts/${alert.id}/dry-run/`} />
    </div>
  );
}

const OVER: ReadonlySet<Status> = new Set(["fired", "expired", "broken"]);

function Actions({ alert, changed, deleted, edit }: Omit<Props, "heard">) {
  const send = useSend();
  const { busy, error, run } = useAction();
  const url = `/api/alerts/${alert.id}/`;
  const act = async (method: Method, below = "", body?: unknown) => {
    const answer = await run(() => send<Alert>(method, url + below, body));
    if (answer !== undefined) changed(answer);
  };
  const remove = async () => {
    const gone = await run(async () => {
      await send("DELETE", url);
      return true;
    });
    if (gone) deleted(alert.id);
  };
  const over = OVER.has(alert.status);
  const off = alert.status === "disabled";
  return (
    <>
      <div className="actions">
        <button type="button" className="button" onClick={edit}>
          Edit
        </button>
        {over && (
          <button type="button" className="button" disabled={busy} onClick={() => act("POST", "rearm/")}>
            Arm again
          </button>
        )}
        {alert.status === "snoozed" && (
          <button type="button" className="button" disabled={busy} onClick={() => act("DELETE", "snooze/")}>
            End the silence
          </button>
        )}
        {!over && (
          <button type="button" className="button" disabled={busy} onClick={() => act("PATCH", "", { enabled: off })}>
            {off ? "Switch on" : "Switch off"}
          </button>
        )}
        {alert.status === "armed" && <Snoozing busy={busy} snooze={(minutes) => act("POST", "snooze/", { minutes })} />}
        <Confirmed label="Delete" question="Delete it, with its history?" disabled={busy} confirm={remove} />
      </div>
      {error !== null && (
        <p className="form-error" role="alert">
          {error}
        </p>
      )}
    </>
  );
}

const SNOOZES = [
  ["15", "15 minutes"],
  ["60", "1 hour"],
  ["240", "4 hours"],
  ["1440", "1 day"],
  ["10080", "1 week"],
] as const;

function Snoozing({ busy, snooze }: { busy: boolean; snooze: (minutes: number) => void }) {
  const [minutes, setMinutes] = useState("60");
  return (
    <span className="snoozing">
      <button type="button" className="button" disabled={busy} onClick={() => snooze(Number(minutes))}>
        Snooze
      </button>
      <select
        className="select"
        aria-label="For how long"
        value={minutes}
        onChange={(event) => setMinutes(event.currentTarget.value)}
      >
        {SNOOZES.map(([value, label]) => (
          <option key={value} value={value}>
            {label}
          </option>
        ))}
      </select>
    </span>
  );
}

function AlertTerms({ alert }: { alert: Alert }) {
  const now = useServerNow(1000);
  return (
    <Terms>
      <Term name="Now">{next(alert, now)}</Term>
      <Term name="Last fired">
        {alert.last_fired_at === null ? "Never" : `${moment(alert.last_fired_at)}, ${alert.generation} in all`}
      </Term>
      <Term name="Fires">{often(alert)}</Term>
      <Term name="Priority">{alert.priority}</Term>
      {alert.currency !== null && <Term name="Thresholds in">{alert.currency}</Term>}
      {alert.confirmations > 1 && <Term name="Confirmations">{alert.confirmations}</Term>}
      {alert.session === "regular" && <Term name="Told">While the market is open</Term>}
      {alert.note !== "" && <Term name="Note">{alert.note}</Term>}
    </Terms>
  );
}

const REFRESH_MS = 60_000;

function Firings({ alert, heard }: { alert: Alert; heard: number }) {
  const { rows, error, reload, more, older } = usePages<Firing>(`/api/alerts/${alert.id}/firings/`, REFRESH_MS);
  useHeard(heard, reload);
  return (
    <section className="firings" aria-label="Firings">
      <h3>When it fired</h3>
      {rows !== undefined ? (
        <FiringRows firings={rows} />
      ) : error !== undefined ? (
        <Failure what="Its history could not be loaded" error={error} retry={reload} />
      ) : (
        <Skeleton rows={2} />
      )}
      {more && (
        <button type="button" className="button" onClick={older}>
          Show older ones
        </button>
      )}
    </section>
  );
}

const LATE_S = 5;

function FiringRows({ firings }: { firings: Firing[] }) {
  if (firings.length === 0) return <p className="muted">Not yet. Each time appears here as it happens.</p>;
  return (
    <table className="rows">
      <thead>
        <tr>
          <th scope="col">When</th>
          <th scope="col">Why</th>
          <th scope="col" className="number">
            No.
          </th>
        </tr>
      </thead>
      <tbody>
        {firings.map((firing) => (
          <tr key={firing.generation}>
            <td className="nowrap">
              <time dateTime={firing.fired_at}>{moment(firing.fired_at)}</time>
            </td>
            <td>
              {firing.reason}
              {firing.gapped && <span className="tag">gap</span>}
              {firing.late_s > LATE_S && <span className="tag">{age(firing.late_s * 1000)} late</span>}
              <span className="observed">{figures(firing.observed)}</span>
            </td>
            <td className="number muted">{firing.generation}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
