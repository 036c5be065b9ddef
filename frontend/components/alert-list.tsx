import { type Alert, isNamed, next, STATUS_WORDS, type Status } from "../alerts";
import { moment } from "../format";
import { useAction } from "../hooks/action";
import { useSend } from "../hooks/bootstrap";
import { useServerNow } from "../hooks/clock";
import type { Polled } from "../hooks/polled";
import { sentenceOf } from "../http";
import { Switch } from "./field";
import { Empty, Failure, Skeleton } from "./states";

const TONES: Record<Status, string> = {
  armed: "good",
  snoozed: "warn",
  fired: "accent",
  expired: "",
  disabled: "",
  broken: "bad",
};

export function StatusBadge({ status }: { status: Status }) {
  return <span className={`badge ${TONES[status]}`}>{STATUS_WORDS[status]}</span>;
}

interface Props {
  alerts: Polled<Alert[]>;
  shown: Alert[];
  chosen: number | null;
  choose: (id: number) => void;
  changed: (alert: Alert) => void;
}

export function AlertList({ alerts, shown, chosen, choose, changed }: Props) {
  const now = useServerNow(5000);
  if (alerts.error !== undefined && alerts.data === undefined) {
    return <Failure what="Alerts could not be loaded" error={alerts.error} retry={alerts.reload} />;
  }
  if (alerts.data === undefined) return <Skeleton rows={6} />;
  if (alerts.data.length === 0 && shown.length === 0) {
    return <Empty title="No alerts yet">Make one, and it watches the market for you.</Empty>;
  }
  if (shown.length === 0) return <Empty title="None of these" />;
  return (
    <ul className="alert-list scroll">
      {alerts.error !== undefined && <li className="form-error">Not up to date: {sentenceOf(alerts.error)}</li>}
      {shown.map((alert) => (
        <Row
          key={alert.id}
          alert={alert}
          now={now}
          chosen={alert.id === chosen}
          choose={() => choose(alert.id)}
          changed={changed}
        />
      ))}
    </ul>
  );
}

interface RowProps {
  alert: Alert;
  now: number;
  chosen: boolean;
  choose: () => void;
  changed: (alert: Alert) => void;
}

const SWITCHABLE: ReadonlySet<Status> = new Set(["armed", "snoozed", "disabled"]);

function Row({ alert, now, chosen, choose, changed }: RowProps) {
  const send = useSend();
  const { busy, error, run } = useAction();
  const toggle = async (enabled: boolean) => {
    const answer = await run(() => send<Alert>("PATCH", `/api/alerts/${alert.id}/`, { enabled }));
    if (answer !== undefined) changed(answer);
  };
  return (
    <li className="alert-row" data-alert={alert.id} data-chosen={chosen}>
      <button type="button" className="alert-open" aria-current={chosen ? "true" : undefined} onClick={choose}>
        <span className="alert-name">{alert.name}</span>
        {isNamed(alert) && <span className="alert-description">{alert.description}</span>}
        <span className="alert-state">
          <StatusBadge status={alert.status} />
          <span className="alert-next">{next(alert, now)}</span>
        </span>
        <span className="alert-last">{lastFired(alert)}</span>
        {error !== null && (
          <span className="field-error" role="alert">
            {error}
          </span>
        )}
      </button>
      {SWITCHABLE.has(alert.status) && (
        <Switch label={`Watch “${alert.name}”`} checked={alert.status !== "disabled"} disabled={busy} change={toggle} />
      )}
    </li>
  );
}

function lastFired({ last_fired_at, generation }: Alert): string {
  if (last_fired_at === null) return "Never fired";
  return `Fired ${moment(last_fired_at)}${generation > 1 ? ` · ${generation} in all` : ""}`;
}
