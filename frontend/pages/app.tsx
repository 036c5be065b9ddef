import { useCallback, useState } from "react";
import { getInstruments, type Instrument } from "../api";
import { ChartCard } from "../components/chart";
import { Frame } from "../components/frame";
import { Icon } from "../components/icons";
import { PortfolioCard } from "../components/portfolio";
import { SignInCard, Welcome } from "../components/signin";
import { Trades } from "../components/trades";
import { Watchlist } from "../components/watchlist";
import { useChoice } from "../hooks/address";
import { useBootstrap } from "../hooks/bootstrap";
import { useResource } from "../hooks/resource";
import type { Theme } from "../hooks/theme";

export function App() {
  const { market_data } = useBootstrap();
  return <Frame current="/">{(theme) => (market_data ? <Market theme={theme} /> : <Welcome />)}</Frame>;
}

type View = "list" | "chart" | "portfolio";
const VIEWS = [
  { view: "list", icon: "list", label: "Markets" },
  { view: "chart", icon: "chart", label: "Chart" },
  { view: "portfolio", icon: "wallet", label: "Portfolio" },
] as const;

function Market({ theme }: { theme: Theme }) {
  const { user } = useBootstrap();
  const [view, setView] = useState<View>("list");
  const [choice, choose] = useChoice();
  const instruments = useResource("instruments", getInstruments);
  const chosen = chosenOf(instruments.data, choice.symbol);
  const open = useCallback(
    (symbol: string) => {
      choose({ symbol });
      setView("chart");
    },
    [choose],
  );
  return (
    <>
      <h1 className="spoken">Market</h1>
      {/* On a narrow screen one view at a time is on show; on a wide one all of them are. */}
      <main className="market" data-view={view}>
        <Watchlist instruments={instruments} chosen={chosen?.symbol ?? null} choose={open} />
        {chosen === undefined ? (
          <Blank className="chart-card" loading={instruments.loading} />
        ) : (
          <ChartCard
            instrument={chosen}
            interval={choice.interval}
            setInterval={(interval) => choose({ interval })}
            theme={theme}
          />
        )}
        {user === null ? <SignInCard /> : <PortfolioCard choose={open} />}
        {chosen === undefined ? (
          <Blank className="trades" loading={instruments.loading} />
        ) : (
          <Trades key={chosen.symbol} symbol={chosen.symbol} />
        )}
      </main>
      <nav className="views" aria-label="Views">
        {VIEWS.map((each) => (
          <button
            key={each.view}
            type="button"
            aria-current={view === each.view ? "page" : undefined}
            onClick={() => setView(each.view)}
          >
            <Icon name={each.icon} size={18} />
            {each.label}
          </button>
        ))}
      </nav>
    </>
  );
}

/** The place of a card that has no instrument to be about. */
function Blank({ className, loading }: { className: string; loading: boolean }) {
  return <section className={`card blank ${className}`}>{loading && <span className="skeleton" />}</section>;
}

function chosenOf(instruments: Instrument[] | undefined, symbol: string | null): Instrument | undefined {
  return instruments?.find((instrument) => instrument.symbol === symbol) ?? instruments?.[0];
}
