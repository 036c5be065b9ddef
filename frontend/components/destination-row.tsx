import { useEffect, useState } from "react";
import {
  type Delivery,
  type DeliveryStatus,
  type Destination,
  outcomeOf,
  SPECS,
  stateOf,
  typeLabel,
} from "../destinations";
import { ago } from "../format";
import { useAction } from "../hooks/action";
import { useSend } from "../hooks/bootstrap";
import { useServerNow } from "../hooks/clock";
import { usePolled } from "../hooks/polled";
import type { ThisBrowser } from "../hooks/this-browser";
import { get } from "../http";
import { Confirmed } from "./confirmed";
import { PRIORITIES, Switch } from "./field";

const LAST_WORDS: Record<DeliveryStatus, string> = {
  pending: "not arrived yet, tried",
  sent: "delivered",
  failed: "failed",
  dropped: "dropped",
};

// A test that takes long is over within seconds.
const TEST_MS = 1_000;

interface Props {
  destination: Destination;
  here: ThisBrowser;
  /** Something is otherwise on the server. */
  changed: () => void;
  edit: () => void;
  showLog: () => void;
}

/** One destination: what it is, how it stands, and what can be done with it. */
export function DestinationRow({ destination, here, changed, edit, showLog }: Props) {
  const now = useServerNow(1000);
  const send = useSend();
  const { busy, error, run } = useAction();
  const [test, setTest] = useTest(changed);
  const { id, kind, name, address, enabled, last_delivery } = destination;
  const url = `/api/destinations/${id}/`;
  const state = stateOf(destination, now);

  const act = async (request: () => Promise<unknown>) => {
    setTest(null);
    const done = await run(async () => {
      await request();
      return true;
    });
    if (done) changed();
  };
  const tryIt = async () => {
    setTest("sending");
    const answer = await run(() => send<Delivery>("POST", `${url}test/`));
    setTest(answer ?? null);
    changed();
  };
  const remove = async () => {
    await send("DELETE", url);
    if (here.id === id) await here.unsubscribe();
  };

  return (
    <li className="destination" data-destination={id}>
      <div className="destination-head">
        <div className="destination-name">
          <h3>{name}</h3>
          <p className="muted">
            {kind === "webpush" && here.id !== id ? "Another browser" : SPECS[kind].label}
            {` · ${address}`}
          </p>
        </div>
        <span className={`badge ${state.tone}`}>{state.words}</span>
        <Switch
          label={`Deliver to “${name}”`}
          checked={enabled}
          disabled={busy}
          change={(on) => act(() => send("PATCH", url, { enabled: on }))}
        />
      </div>
      {state.why !== "" && <p className={`destination-why ${state.tone}`}>{state.why}</p>}
      <p className="destination-facts">
        {wants(destination)}
        {" · "}
        {last_delivery === null ? (
          "Nothing sent yet"
        ) : (
          <>
            {`Last ${last_delivery.test ? "test" : "delivery"}: ${LAST_WORDS[last_delivery.status]} `}
            <time dateTime={last_delivery.at}>{ago(now - Date.parse(last_delivery.at))}</time>
            {last_delivery.error !== "" && ` (${last_delivery.error})`}
          </>
        )}
      </p>
      <div className="actions">
        <button type="button" className="button" disabled={busy} onClick={tryIt}>
          Send a test
        </button>
        <button type="button" className="button" onClick={edit}>
          Edit
        </button>
        <button type="button" className="button" onClick={showLog}>
          Log
        </button>
        <Confirmed label="Delete" question="Delete it, with its log?" disabled={busy} confirm={() => act(remove)} />
      </div>
      <TestResult test={test} />
      {error !== null && (
        <p className="field-error" role="alert">
          {error}
        </p>
      )}
    </li>
  );
}

type Test = null | "sending" | Delivery;

/** How a test stands. The server waits only so long for an answer: the rest is to be read in the log. */
function useTest(over: () => void) {
  const [test, setTest] = useState<Test>(null);
  const open = test !== null && test !== "sending" && test.status === "pending" ? test : null;
  const url = open === null ? null : `/api/deliveries/${open.id}/`;
  const { data } = usePolled(url, (signal) => get<Delivery>(url ?? "", signal), TEST_MS);
  // biome-ignore lint/correctness/useExhaustiveDependencies: each answer counts once
  useEffect(() => {
    if (data === undefined || data.status === "pending") return;
    setTest(data);
    over();
  }, [data]);
  return [test, setTest] as const;
}

function TestResult({ test }: { test: Test }) {
  const told = test === null || test === "sending" ? null : outcomeOf(test);
  return (
    <div role="status">
      {test === "sending" && <p className="test-result">Sending …</p>}
      {told !== null && <p className={`test-result ${told.tone}`}>{told.words}</p>}
    </div>
  );
}

/** "Alerts and signals, high and above". */
function wants({ types, min_priority }: Destination): string {
  const what = types.length === 0 ? "Everything" : types.map(typeLabel).join(", ");
  if (min_priority === "low") return what;
  const least = PRIORITIES.find(([priority]) => priority === min_priority)?.[1].toLowerCase();
  return `${what}, ${min_priority === "critical" ? "critical only" : `${least} and above`}`;
}
