/** What was sent to a user's destinations, and what came of it. */

import { useEffect, useState } from "react";
import {
  type Delivery,
  type DeliveryStatus,
  type Destination,
  SPECS,
  STATUS_TONES,
  STATUS_WORDS,
} from "../destinations";
import { age, moment } from "../format";
import { useAction } from "../hooks/action";
import { useSend } from "../hooks/bootstrap";
import { useServerNow } from "../hooks/clock";
import { useHeard } from "../hooks/heard";
import { usePages } from "../hooks/pages";
import { useResource } from "../hooks/resource";
import { getAll } from "../http";
import { Segments } from "./field";
import { Older } from "./older";
import { Empty, Failure, Skeleton } from "./states";

// Something is under way: its next attempt may be seconds away.
const BUSY_MS = 2_000;
const IDLE_MS = 15_000;

export type StatusFilter = "" | DeliveryStatus;
const FILTERS = [
  ["", "All"],
  ["pending", "Waiting"],
  ["sent", "Delivered"],
  ["failed", "Failed"],
  ["dropped", "Dropped"],
] as const;

/** What of the log is on show. destination: its id; notification: what was told. Empty: all. */
export interface LogFilter {
  status: StatusFilter;
  destination: string;
  notification: string;
}

interface Props {
  filter: LogFilter;
  change: (filter: LogFilter) => void;
  heard: number;
}

export function DeliveryLog({ filter, change, heard }: Props) {
  const destinations = useResource("destinations", (signal) => getAll<Destination>("/api/destinations/", signal));
  const [busy, setBusy] = useState(false);
  const log = usePages<Delivery>(url(filter), busy ? BUSY_MS : IDLE_MS);
  const isBusy = log.rows?.some(({ status }) => status === "pending") ?? false;
  useEffect(() => setBusy(isBusy), [isBusy]);
  useHeard(heard, log.reload);
  return (
    <section className="card" aria-labelledby="log-title">
      <div className="card-head wrapping">
        <h2 id="log-title">Delivery log</h2>
        <select
          className="select"
          aria-label="Destination"
          value={filter.destination}
          onChange={(event) => change({ ...filter, destination: event.currentTarget.value })}
        >
          <option value="">All destinations</option>
          {destinations.data?.map(({ id, name }) => (
            <option key={id} value={String(id)}>
              {name}
            </option>
          ))}
        </select>
        <Segments
          legend="State"
          name="status"
          value={filter.status}
          choices={FILTERS}
          change={(status) => change({ ...filter, status })}
        />
      </div>
      {filter.notification !== "" && (
        <p className="filtered">
          Only of one notification.{" "}
          <button type="button" className="link" onClick={() => change({ ...filter, notification: "" })}>
            Show all
          </button>
        </p>
      )}
      {log.rows === undefined ? (
        log.error === undefined ? (
          <Skeleton rows={5} />
        ) : (
          <Failure what="The log could not be loaded" error={log.error} retry={log.reload} />
        )
      ) : log.rows.length === 0 ? (
        <Empty title="Nothing here">
          {isFiltered(filter)
            ? "No delivery is like that."
            : "What is sent to your destinations appears here, with what came of it."}
        </Empty>
      ) : (
        <ul className="log">
          {log.rows.map((delivery) => (
            <Row key={delivery.id} delivery={delivery} changed={log.reload} />
          ))}
        </ul>
      )}
      <Older more={log.more} older={log.older} />
    </section>
  );
}

function url({ status, destination, notification }: LogFilter): string {
  const asked = Object.entries({ status, destination, notification }).filter(([, value]) => value !== "");
  return `/api/deliveries/?${new URLSearchParams(asked)}`;
}

function isFiltered(filter: LogFilter): boolean {
  return Object.values(filter).some((value) => value !== "");
}

function Row({ delivery, changed }: { delivery: Delivery; changed: () => void }) {
  const send = useSend();
  const { busy, error, run } = useAction();
  const { id, status, title, destination_name, kind, created_at, last_error, response } = delivery;
  const retry = async () => {
    const answer = await run(() => send<Delivery>("POST", `/api/deliveries/${id}/retry/`));
    if (answer !== undefined) changed();
  };
  return (
    <li className="log-row" data-delivery={id} data-status={status}>
      <span className={`badge ${STATUS_TONES[status]}`}>{STATUS_WORDS[status]}</span>
      <div className="log-body">
        <p className="log-title">{title}</p>
        <p className="muted">
          {destination_name}
          {destination_name !== SPECS[kind].label && ` (${SPECS[kind].label})`}
          {" · "}
          <Attempts delivery={delivery} />
        </p>
        {last_error !== "" && <p className={status === "pending" ? "muted" : "field-error"}>{last_error}</p>}
        {response !== "" && <p className="answer">{response}</p>}
        {error !== null && (
          <p className="field-error" role="alert">
            {error}
          </p>
        )}
      </div>
      <div className="log-side">
        <time dateTime={created_at} className="muted">
          {moment(created_at)}
        </time>
        {(status === "failed" || status === "dropped") && !delivery.test && (
          <button type="button" className="button small" disabled={busy} onClick={retry}>
            Send again
          </button>
        )}
      </div>
    </li>
  );
}

/** "2 attempts, the next in 12 s". */
function Attempts({ delivery }: { delivery: Delivery }) {
  const now = useServerNow(1000);
  const { attempts, status, next_attempt_at, sent_at } = delivery;
  const tried = attempts === 0 ? "not tried yet" : attempts === 1 ? "1 attempt" : `${attempts} attempts`;
  if (status === "sent" && sent_at !== null) return <>{`${tried}, arrived ${moment(sent_at)}`}</>;
  if (status !== "pending" || next_attempt_at === null) return <>{tried}</>;
  const left = Date.parse(next_attempt_at) - now;
  const next = left <= 0 ? "now" : left > DAY_MS ? moment(next_attempt_at) : `in ${age(left)}`;
  return <>{`${tried}, ${attempts === 0 ? "due" : "the next"} ${next}`}</>;
}

const DAY_MS = 86_400_000;
