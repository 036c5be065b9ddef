/** `/alerts/`: a user's alerts, each with its history, and a form to make and change them. */

import { useEffect, useLayoutEffect, useRef, useState } from "react";
import { type Alert, getAlerts, type Status, sorted } from "../alerts";
import { getInstruments, getPortfolios, type Notification } from "../api";
import { AlertDetail } from "../components/alert-detail";
import { AlertForm } from "../components/alert-form";
import { AlertList } from "../components/alert-list";
import type { Indicator, Known } from "../components/condition-fields";
import { Segments } from "../components/field";
import { Frame } from "../components/frame";
import { Icon } from "../components/icons";
import { SignInFirst } from "../components/signin";
import { Empty, Skeleton } from "../components/states";
import { blankDraft, draftOf } from "../draft";
import { useBootstrap } from "../hooks/bootstrap";
import { useHeard } from "../hooks/heard";
import { usePolled } from "../hooks/polled";
import { useGeneration } from "../hooks/realtime";
import { useResource } from "../hooks/resource";
import { useQuery } from "../hooks/route";
import { get, getAll } from "../http";
import { mount } from "./mount";
import "../styles/forms.css";
import "../styles/alerts.css";

const PATH = "/alerts/";
// What expires or wakes up without a word is read anew so often.
const REFRESH_MS = 30_000;
// As in the style sheets.
const NARROW = "(max-width: 859px)";

function AlertsPage() {
  const { user } = useBootstrap();
  const [heard, setHeard] = useState(0);
  const onNews = (item: Notification) => {
    if (item.notification_type === "alert") setHeard((count) => count + 1);
  };
  return (
    <Frame current={PATH} onNews={onNews}>
      {() =>
        user === null ? (
          <SignInFirst title="Alerts that watch the market for you" path={PATH}>
            Sign in to say what you want to be told, and when.
          </SignInFirst>
        ) : (
          <Alerts heard={heard} />
        )
      }
    </Frame>
  );
}

type Filter = "all" | "watching" | "over";
const FILTERS = [
  ["all", "All"],
  ["watching", "Watching"],
  ["over", "Over"],
] as const;
const WATCHING: ReadonlySet<Status> = new Set(["armed", "snoozed"]);

function Alerts({ heard }: { heard: number }) {
  const [query, go] = useQuery();
  const [filter, setFilter] = useState<Filter>("all");
  const alerts = usePolled("alerts", getAlerts, REFRESH_MS);
  const own = useOwn(alerts.data, alerts.reload, heard);
  const shown = sorted(own.list).filter(
    ({ status }) => filter === "all" || WATCHING.has(status) === (filter === "watching"),
  );
  const isNew = query.has("new");
  const id = query.has("id") ? Number(query.get("id")) : null;
  const page = useRef<HTMLElement>(null);
  useFocus(page, isNew ? "new" : id, query.has("edit"));
  return (
    <main className="work alerts" data-open={isNew || id !== null} ref={page}>
      <h1 className="spoken">Alerts</h1>
      <section className="card alerts-card" aria-label="Your alerts">
        <div className="card-head">
          <Segments legend="Which" name="filter" value={filter} choices={FILTERS} change={setFilter} />
          <button type="button" className="button primary" onClick={() => go({ new: "" })}>
            <Icon name="plus" size={14} />
            New alert
          </button>
        </div>
        <AlertList
          alerts={alerts}
          shown={shown}
          chosen={id}
          choose={(next) => go({ id: String(next) })}
          changed={own.put}
        />
      </section>
      <section className="card alert-card" aria-label={isNew ? "New alert" : "Alert"}>
        <button type="button" className="link back" onClick={() => go({})}>
          <Icon name="back" size={14} />
          All alerts
        </button>
        {isNew ? (
          <Editor
            key="new"
            symbol={query.get("new") ?? ""}
            saved={(alert) => {
              own.put(alert);
              go({ id: String(alert.id) });
            }}
            cancel={() => go({})}
          />
        ) : (
          <Chosen id={id} loaded={alerts.data !== undefined} own={own} heard={heard} query={query} go={go} />
        )}
      </section>
    </main>
  );
}

interface ChosenProps {
  id: number | null;
  loaded: boolean;
  own: ReturnType<typeof useOwn>;
  heard: number;
  query: URLSearchParams;
  go: (query: Record<string, string>) => void;
}

/** The alert that the address names: what there is to say of it, or the form that changes it. */
function Chosen({ id, loaded, own, heard, query, go }: ChosenProps) {
  const alert = own.list.find((each) => each.id === id);
  if (id === null) {
    return <Empty title="Choose an alert">Its history, and what it would have done in the past, appear here.</Empty>;
  }
  if (alert === undefined) return loaded ? <Empty title="There is no such alert" /> : <Skeleton rows={5} />;
  const show = () => go({ id: String(id) });
  if (query.has("edit")) {
    const saved = (changed: Alert) => {
      own.put(changed);
      show();
    };
    return <Editor key={`edit ${id}`} alert={alert} saved={saved} cancel={show} />;
  }
  const deleted = () => {
    own.drop(id);
    go({});
  };
  const edit = () => go({ id: String(id), edit: "" });
  return <AlertDetail alert={alert} heard={heard} changed={own.put} deleted={deleted} edit={edit} />;
}

/**
 * A form takes the focus, and so does what comes after it; where one thing is all that is on show, so does whatever is
 * opened. Whoever comes back to the list finds there what was open.
 */
function useFocus(page: { current: HTMLElement | null }, open: number | "new" | null, editing: boolean): void {
  const before = useRef({ open, form: editing || open === "new" });
  useEffect(() => {
    const came = before.current;
    const form = editing || open === "new";
    before.current = { open, form };
    if (came.open === open && came.form === form) return;
    const focus = (selector: string) => page.current?.querySelector<HTMLElement>(selector)?.focus();
    if (open === null)
      focus(typeof came.open === "number" ? `[data-alert="${came.open}"] button` : ".card-head .button");
    else if (form || came.form || matchMedia(NARROW).matches) focus(".alert-card h2");
  }, [page, open, editing]);
}

/** The list as the server told it, with what was changed here since. Read anew when one has fired, and now and then. */
function useOwn(loaded: Alert[] | undefined, reload: () => void, heard: number) {
  const [list, setList] = useState<Alert[]>([]);
  const generation = useGeneration();
  useLayoutEffect(() => {
    if (loaded !== undefined) setList(loaded);
  }, [loaded]);
  // What fired while there was no connection was not heard of.
  useHeard(heard + Math.max(0, generation - 1), reload);
  const drop = (gone: number) => {
    setList((before) => before.filter(({ id }) => id !== gone));
    // A list that is under way may have been read before: it is asked for anew.
    reload();
  };
  const put = (alert: Alert) => {
    drop(alert.id);
    setList((before) => [alert, ...before]);
  };
  return { list, put, drop };
}

interface Strategies {
  results: { name: string; house: boolean }[];
  kinds: { kind: string }[];
}

interface EditorProps {
  alert?: Alert;
  symbol?: string;
  saved: (alert: Alert) => void;
  cancel: () => void;
}

function Editor({ alert, symbol, saved, cancel }: EditorProps) {
  const known = useKnown();
  return (
    <div className="detail scroll">
      <h2 tabIndex={-1}>{alert === undefined ? "New alert" : `Change “${alert.name}”`}</h2>
      {known === undefined ? (
        <Skeleton rows={6} />
      ) : (
        <AlertForm
          id={alert?.id ?? null}
          initial={alert === undefined ? blankDraft(symbol || (known.instruments[0]?.symbol ?? "")) : draftOf(alert)}
          known={known}
          saved={saved}
          cancel={cancel}
        />
      )}
    </div>
  );
}

/** What there is to choose from; undefined until it is known. What can't be loaded can still be typed. */
function useKnown(): Known | undefined {
  const instruments = useResource("instruments", getInstruments);
  const portfolios = useResource("portfolios", getPortfolios);
  const indicators = useResource("indicators", (signal) => getAll<Indicator>("/api/indicators/", signal));
  const strategies = useResource("strategies", (signal) => get<Strategies>("/api/strategies/", signal));
  const all = [instruments, portfolios, indicators, strategies];
  if (all.some(({ data, error }) => data === undefined && error === undefined)) return undefined;
  return {
    instruments: instruments.data ?? [],
    portfolios: portfolios.data ?? [],
    indicators: indicators.data ?? [],
    strategies: strategies.data === undefined ? [] : strategyNames(strategies.data),
  };
}

/** Every kind, and one's own. */
function strategyNames({ results, kinds }: Strategies): string[] {
  return [...kinds.map(({ kind }) => kind), ...results.filter(({ house }) => !house).map(({ name }) => name)];
}

mount(<AlertsPage />);
