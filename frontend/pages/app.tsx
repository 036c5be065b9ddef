import { useCallback, useEffect, useState } from "react";
import { getInstruments, type Instrument, type Notification } from "../api";
import { SIGN_IN_NEEDED } from "../client";
import { ChartCard } from "../components/chart";
import { Header } from "../components/header";
import { Icon } from "../components/icons";
import { Toasts } from "../components/notifications";
import { PortfolioCard } from "../components/portfolio";
import { SessionEnded, SignInCard, Welcome } from "../components/signin";
import { Trades } from "../components/trades";
import { Watchlist } from "../components/watchlist";
import { useChoice } from "../hooks/address";
import { useBootstrap } from "../hooks/bootstrap";
import { useNotifications } from "../hooks/notifications";
import { useClient, useConnection } from "../hooks/realtime";
import { useResource } from "../hooks/resource";
import { type Theme, useTheme } from "../hooks/theme";

const TOASTS_MAX = 3;

export function App() {
  const { user, market_data } = useBootstrap();
  const [theme, toggleTheme] = useTheme();
  const [toasts, setToasts] = useState<Notification[]>([]);
  const show = useCallback((item: Notification) => setToasts((shown) => [...shown, item].slice(-TOASTS_MAX)), []);
  const dismiss = useCallback(
    (id: string) => setToasts((shown) => shown.filter((item) => item.notification_id !== id)),
    [],
  );
  const notifications = useNotifications(user !== null, show);
  return (
    <>
      <Header theme={theme} toggleTheme={toggleTheme} notifications={notifications} />
      {market_data ? <Market theme={theme} /> : <Welcome />}
      <Toasts items={toasts} dismiss={dismiss} />
    </>
  );
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
      <Banners />
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

function Banners() {
  const { user } = useBootstrap();
  const status = useConnection();
  const signedOut =
    (status.phase === "refused" && status.code === SIGN_IN_NEEDED) ||
    (status.phase === "live" && user !== null && !status.authenticated);
  return (
    <>
      {signedOut && <SessionEnded />}
      <Refusals />
    </>
  );
}

/** What the server would not do, in its own words. */
function Refusals() {
  const client = useClient();
  const [message, setMessage] = useState<string | null>(null);
  useEffect(() => client?.onRefusal((refusal) => setMessage(refusal.message)), [client]);
  if (message === null) return null;
  return (
    <p className="banner" role="alert">
      {message}
      <button type="button" className="link" onClick={() => setMessage(null)}>
        Dismiss
      </button>
    </p>
  );
}
