import { type ReactNode, useState } from "react";
import { moment } from "../format";
import { useAction } from "../hooks/action";
import { useBootstrap, useSend } from "../hooks/bootstrap";
import { instrumentsOf, type Kind, parametersOf, type Strategies, type Strategy, warmupOf } from "../strategies";
import { Confirmed } from "./confirmed";
import { Switch } from "./field";
import { Icon } from "./icons";
import { InstrumentField } from "./signal-list";
import { Empty } from "./states";

interface Props {
  strategies: Strategies;
  /** Something was changed: read them anew. */
  changed: () => void;
  make: (kind: string) => void;
  edit: (strategy: Strategy) => void;
}

/** One's own strategies, the house's, and those in files. */
export function StrategyList({ strategies: { results, kinds }, changed, make, edit }: Props) {
  const own = results.filter(({ house }) => !house);
  const house = results.filter(({ house }) => house);
  const kindOf = (strategy: Strategy) => kinds.find(({ kind }) => kind === strategy.kind);
  return (
    <>
      <section className="card" aria-label="Your strategies">
        <div className="card-head">
          <h2>Yours</h2>
          <button type="button" className="button primary" onClick={() => make("")}>
            <Icon name="plus" size={14} />
            New strategy
          </button>
        </div>
        {own.length === 0 ? (
          <Empty title="None of your own yet">
            Make one with your own parameters, on your own instruments. Nobody else sees its signals.
          </Empty>
        ) : (
          <ul className="strategies">
            {own.map((each) => (
              <Own key={each.id} strategy={each} changed={changed} edit={() => edit(each)} />
            ))}
          </ul>
        )}
      </section>
      <section className="card" aria-label="The house's strategies">
        <div className="card-head">
          <h2>The house's</h2>
          <span className="muted">asked of every instrument, for everybody</span>
        </div>
        <ul className="strategies">
          {house.map((each) => (
            <House key={each.id} strategy={each} kind={kindOf(each)} changed={changed} make={() => make(each.kind)} />
          ))}
        </ul>
      </section>
      <FileKinds kinds={kinds.filter(({ origin }) => origin === "file")} make={make} />
    </>
  );
}

/** Asks for a change, and has the list read anew once it is made. */
function useChange(changed: () => void) {
  const send = useSend();
  const { busy, error, run } = useAction();
  const change = async (method: "POST" | "PATCH" | "DELETE", url: string, body?: unknown) => {
    const done = await run(async () => {
      await send(method, url, body);
      return true;
    });
    if (done) changed();
  };
  return { busy, error, change };
}

interface RowProps {
  strategy: Strategy;
  changed: () => void;
}

function Own({ strategy, changed, edit }: RowProps & { edit: () => void }) {
  const { busy, error, change } = useChange(changed);
  const url = `/api/strategies/${strategy.id}/`;
  return (
    <li className="strategy" data-strategy={strategy.id} data-enabled={strategy.enabled}>
      <div className="strategy-head">
        <h3>{strategy.name}</h3>
        <Switch
          label={`Ask “${strategy.name}”`}
          checked={strategy.enabled}
          disabled={busy}
          change={(enabled) => change("PATCH", url, { enabled })}
        />
      </div>
      <Facts strategy={strategy}>
        {strategy.kind} at {strategy.interval}, on {instrumentsOf(strategy.instruments)}
        {strategy.min_confidence > 0 && `, from a confidence of ${strategy.min_confidence}`}
      </Facts>
      {error !== null && <Refused>{error}</Refused>}
      <div className="actions">
        <button type="button" className="button" onClick={edit}>
          Edit
        </button>
        <Subscription
          told={strategy.notify}
          busy={busy}
          change={(told) => change(told ? "POST" : "DELETE", `${url}subscribe/`, told ? {} : undefined)}
        />
        <Confirmed
          label="Delete"
          question="Delete it? Its signals stay."
          disabled={busy}
          confirm={() => change("DELETE", url)}
        />
      </div>
    </li>
  );
}

function House({ strategy, kind, changed, make }: RowProps & { kind: Kind | undefined; make: () => void }) {
  const { busy, error, change } = useChange(changed);
  const [symbol, setSymbol] = useState("");
  const url = `/api/strategies/${strategy.id}/subscribe/`;
  const toAll = strategy.subscriptions.some((each) => each.symbol === null);
  const symbols = strategy.subscriptions.flatMap((each) => each.symbol ?? []);
  const subscribe = async () => {
    await change("POST", url, { symbol });
    setSymbol("");
  };
  return (
    <li className="strategy" data-strategy={strategy.id}>
      <div className="strategy-head">
        <h3>{strategy.name}</h3>
        <div className="actions">
          <button type="button" className="button" onClick={make}>
            Make your own
          </button>
          <Subscription
            told={toAll}
            busy={busy}
            change={(told) => change(told ? "POST" : "DELETE", url, told ? {} : undefined)}
          />
        </div>
      </div>
      <Facts strategy={strategy} kind={kind}>
        At {strategy.interval}. {kind?.description}
      </Facts>
      {error !== null && <Refused>{error}</Refused>}
      {symbols.length > 0 && (
        <ul className="strategy-symbols" aria-label="Told of">
          {symbols.map((each) => (
            <li key={each} className="badge accent">
              {each}
              <button
                type="button"
                className="badge-close"
                aria-label={`Don't tell me of ${each}`}
                disabled={busy}
                onClick={() => change("DELETE", `${url}?symbol=${encodeURIComponent(each)}`)}
              >
                <Icon name="close" size={12} />
              </button>
            </li>
          ))}
        </ul>
      )}
      {!toAll && (
        <details className="strategy-one">
          <summary>Tell me of one instrument</summary>
          <div className="strategy-one-form">
            <InstrumentField chosen={symbol} choose={setSymbol} />
            <button type="button" className="button" disabled={busy || symbol === ""} onClick={subscribe}>
              Tell me
            </button>
          </div>
        </details>
      )}
    </li>
  );
}

/** Being told of each signal, beside seeing it. */
function Subscription({ told, busy, change }: { told: boolean; busy: boolean; change: (told: boolean) => void }) {
  return (
    <button type="button" className="button" aria-pressed={told} disabled={busy} onClick={() => change(!told)}>
      <Icon name={told ? "check" : "bell"} size={14} />
      {told ? "You are told" : "Tell me"}
    </button>
  );
}

/** kind: where the parameters are its defaults, so that its warm-up is the strategy's. */
function Facts({ strategy, kind, children }: { strategy: Strategy; kind?: Kind | undefined; children: ReactNode }) {
  return (
    <>
      <p>{children}</p>
      <p className="muted">
        {parametersOf(strategy.parameters)}
        {kind !== undefined && ` · warm after ${warmupOf(kind.warmup, strategy.interval)}`}
      </p>
      {strategy.last_error !== "" && (
        <p className="field-error">
          It failed{strategy.last_error_at !== null && ` at ${moment(strategy.last_error_at)}`}: {strategy.last_error}
        </p>
      )}
    </>
  );
}

function Refused({ children }: { children: string }) {
  return (
    <p className="field-error" role="alert">
      {children}
    </p>
  );
}

/** What files of the installation hold. Only those that were checked and found in order are told of. */
function FileKinds({ kinds, make }: { kinds: Kind[]; make: (kind: string) => void }) {
  const { staff } = useBootstrap();
  if (kinds.length === 0 && !staff) return null;
  return (
    <section className="card" aria-label="Strategies in files">
      <div className="card-head">
        <h2>From files</h2>
        {staff && <a href="/admin/signals/strategyfile/">What came of each file</a>}
      </div>
      {kinds.length === 0 && <Empty title="No file in STRATEGY_DIR keeps the rules, or there is none" />}
      <ul className="strategies">
        {kinds.map((kind) => (
          <li key={kind.kind} className="strategy" data-kind={kind.kind}>
            <div className="strategy-head">
              <h3>{kind.kind}</h3>
              <button type="button" className="button" onClick={() => make(kind.kind)}>
                Make your own
              </button>
            </div>
            <p>{kind.description}</p>
            <p className="muted">
              Checked: it doesn't look ahead, remembers nothing, and needs no more than its {kind.warmup} bars.
            </p>
          </li>
        ))}
      </ul>
    </section>
  );
}
