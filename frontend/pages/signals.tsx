/** `/signals/`: what strategies say, what became of it, the strategies themselves, and the news. */

import { useEffect, useRef, useState } from "react";
import { Frame } from "../components/frame";
import { Icon } from "../components/icons";
import { NewsCard } from "../components/news-list";
import { Scorecards } from "../components/scorecard-table";
import { SignalDetail } from "../components/signal-detail";
import { SignalFilters, SignalList } from "../components/signal-list";
import { SignInFirst } from "../components/signin";
import { Empty, Failure, Skeleton } from "../components/states";
import { StrategyForm } from "../components/strategy-form";
import { StrategyList } from "../components/strategy-list";
import { useBootstrap } from "../hooks/bootstrap";
import { type Resource, useResource } from "../hooks/resource";
import { useQuery } from "../hooks/route";
import { useSignals } from "../hooks/signals";
import type { Theme } from "../hooks/theme";
import { EVERYTHING, type Filter, getSignal } from "../signals";
import { blank, draftOf, getStrategies, type Strategies } from "../strategies";
import { mount } from "./mount";
import "../styles/forms.css";
import "../styles/signals.css";

const PATH = "/signals/";
const VIEWS = [
  ["signals", "Signals"],
  ["strategies", "Strategies"],
  ["scorecards", "Scorecards"],
  ["news", "News"],
] as const;
type View = (typeof VIEWS)[number][0];

function SignalsPage() {
  return <Frame current={PATH}>{(theme) => <Signals theme={theme} />}</Frame>;
}

type Go = (query: Record<string, string>) => void;

function Signals({ theme }: { theme: Theme }) {
  const { user, market_data } = useBootstrap();
  const [query, go] = useQuery();
  const view = VIEWS.find(([each]) => each === query.get("view"))?.[0] ?? "signals";
  const isOpen = user !== null || (view === "news" && market_data);
  return (
    <>
      <h1 className="spoken">Signals</h1>
      <Views view={view} go={go} />
      {isOpen ? (
        <Shown view={view} query={query} go={go} theme={theme} />
      ) : (
        <SignInFirst title="What strategies say, and how that turned out" path={location.pathname + location.search}>
          {view === "news" ? "Sign in to read the news." : "Sign in to see signals and to make strategies of your own."}
        </SignInFirst>
      )}
    </>
  );
}

/** Addresses, so that each view can be opened in a tab of its own. */
function Views({ view, go }: { view: View; go: Go }) {
  return (
    <nav className="views-row" aria-label="Views">
      {VIEWS.map(([each, label]) => (
        <a
          key={each}
          href={`?view=${each}`}
          aria-current={each === view ? "page" : undefined}
          onClick={(event) => {
            if (event.metaKey || event.ctrlKey || event.shiftKey) return;
            event.preventDefault();
            go(each === "signals" ? {} : { view: each });
          }}
        >
          {label}
        </a>
      ))}
    </nav>
  );
}

interface ShownProps {
  view: View;
  query: URLSearchParams;
  go: Go;
  theme: Theme;
}

function Shown({ view, query, go, theme }: ShownProps) {
  const { user } = useBootstrap();
  const strategies = useResource(user === null ? null : "strategies", getStrategies);
  if (view === "news") {
    return (
      <main className="work">
        <NewsCard />
      </main>
    );
  }
  if (view === "scorecards") {
    return (
      <main className="work">
        <Scorecards />
      </main>
    );
  }
  if (view === "strategies") return <StrategiesView strategies={strategies} query={query} go={go} />;
  return <SignalsView strategies={strategies.data} chosen={query.get("signal")} go={go} theme={theme} />;
}

interface SignalsViewProps {
  strategies: Strategies | undefined;
  chosen: string | null;
  go: Go;
  theme: Theme;
}

function SignalsView({ strategies, chosen, go, theme }: SignalsViewProps) {
  const [filter, setFilter] = useState<Filter>(EVERYTHING);
  const signals = useSignals(filter);
  const listed = signals.list.find(({ signal_id }) => signal_id === chosen);
  // One that a link names may be older than the list, or filtered out of it.
  const read = useResource(chosen === null || listed !== undefined ? null : `signal:${chosen}`, (signal) =>
    getSignal(chosen ?? "", signal),
  );
  const signal = listed ?? read.data;
  const choose = (id: string) => go({ signal: id });
  const page = useRef<HTMLElement>(null);
  useFocus(page, chosen);
  const names = [...new Set((strategies?.results ?? []).map(({ kind }) => kind))];
  return (
    <main className="work signals" data-open={chosen !== null} ref={page}>
      <section className="card signals-card" aria-label="Signals">
        <SignalFilters filter={filter} strategies={names} change={setFilter} />
        <SignalList
          signals={signals}
          filter={filter}
          chosen={chosen}
          choose={choose}
          clear={() => setFilter(EVERYTHING)}
        />
      </section>
      <section className="card signal-card" aria-label="Signal">
        {chosen !== null && (
          <button type="button" className="link back" onClick={() => go({})}>
            <Icon name="back" size={14} />
            All signals
          </button>
        )}
        {signal !== undefined ? (
          <SignalDetail
            key={signal.signal_id}
            signal={signal}
            now={signals.now}
            theme={theme}
            successor={signals.list.find(({ supersedes }) => supersedes === signal.signal_id)}
            choose={choose}
          />
        ) : chosen === null ? (
          <Empty title="Choose a signal">
            Its levels on a chart, what it rests on and what became of it appear here.
          </Empty>
        ) : read.error !== undefined ? (
          <Failure what="This signal can't be shown" error={read.error} retry={read.reload} />
        ) : (
          <Skeleton rows={6} />
        )}
      </section>
    </main>
  );
}

const NARROW = "(max-width: 859px)";

/** Where one thing is all that is on show, what is opened takes the focus, and the way back leads to where it was. */
function useFocus(page: { current: HTMLElement | null }, chosen: string | null): void {
  const before = useRef(chosen);
  useEffect(() => {
    const came = before.current;
    before.current = chosen;
    if (came === chosen || !matchMedia(NARROW).matches) return;
    const selector = chosen === null ? `[data-signal="${CSS.escape(came ?? "")}"] button` : ".signal-card h2";
    page.current?.querySelector<HTMLElement>(selector)?.focus();
  }, [page, chosen]);
}

interface StrategiesViewProps {
  strategies: Resource<Strategies>;
  query: URLSearchParams;
  go: Go;
}

function StrategiesView({ strategies, query, go }: StrategiesViewProps) {
  const { data, error, reload } = strategies;
  const back = () => go({ view: "strategies" });
  if (data === undefined) {
    return (
      <main className="work">
        <section className="card" aria-label="Strategies">
          {error === undefined ? (
            <Skeleton rows={6} className="tall" />
          ) : (
            <Failure what="Strategies could not be loaded" error={error} retry={reload} />
          )}
        </section>
      </main>
    );
  }
  const editing = query.has("new") || query.has("edit");
  return (
    <main className="work strategies-view">
      {editing ? (
        <Editor strategies={data} query={query} saved={reload} back={back} />
      ) : (
        <StrategyList
          strategies={data}
          changed={reload}
          make={(kind) => go({ view: "strategies", new: kind })}
          edit={({ id }) => go({ view: "strategies", edit: String(id) })}
        />
      )}
    </main>
  );
}

interface EditorProps {
  strategies: Strategies;
  query: URLSearchParams;
  saved: () => void;
  back: () => void;
}

function Editor({ strategies: { results, kinds }, query, saved, back }: EditorProps) {
  const edited = results.find(({ id, house }) => !house && String(id) === query.get("edit"));
  const kind = kinds.find((each) => each.kind === query.get("new"));
  if (query.has("edit") && edited === undefined) {
    return (
      <section className="card" aria-label="Strategy">
        <Empty title="There is no such strategy" />
      </section>
    );
  }
  const title = edited === undefined ? "New strategy" : `Change “${edited.name}”`;
  return (
    <section className="card strategy-card" aria-label={title}>
      <div className="card-head">
        <h2>{title}</h2>
      </div>
      <StrategyForm
        key={query.toString()}
        id={edited === undefined ? null : Number(edited.id)}
        initial={edited !== undefined ? draftOf(edited) : kind === undefined ? null : blank(kind)}
        kinds={kinds}
        saved={() => {
          saved();
          back();
        }}
        cancel={back}
      />
    </section>
  );
}

mount(<SignalsPage />);
