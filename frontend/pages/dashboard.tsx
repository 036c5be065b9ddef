/** `/realtime/dashboard/`: how the service is doing, as it does it. */

import { useEffect, useMemo, useRef, useState } from "react";
import { getInstruments } from "../api";
import { FeedsCard } from "../components/feed-table";
import { Frame } from "../components/frame";
import { Empty, Failure, Skeleton } from "../components/states";
import { ForceCard } from "../components/status-force";
import { LatencyCard } from "../components/status-latency";
import { LedgerCard } from "../components/status-ledger";
import { type Followed, PricesCard } from "../components/status-prices";
import { Summary } from "../components/status-summary";
import { age, clock } from "../format";
import { useBootstrap } from "../hooks/bootstrap";
import { useNow, useServerNow } from "../hooks/clock";
import { type Polled, usePolled } from "../hooks/polled";
import { useEvents } from "../hooks/realtime";
import { useResource } from "../hooks/resource";
import { sentenceOf } from "../http";
import { type FeedEvent, feedRows, getFeeds, getStatus, type ServiceStatus } from "../status";
import { mount } from "./mount";
import "../styles/forms.css";
import "../styles/dashboard.css";

const PATH = "/realtime/dashboard/";
const STATUS_MS = 2_000;
const FEEDS_MS = 15_000;
const RATES_KEPT = 90;
const PRICES_SHOWN = 8;

function DashboardPage() {
  return <Frame current={PATH}>{() => <Dashboard />}</Frame>;
}

function Dashboard() {
  const { user, staff, market_data } = useBootstrap();
  const status = usePolled("status", getStatus, STATUS_MS);
  const rates = useRates(status.data, status.at);
  const followed = useFollowed(status.data);
  if (status.data === undefined) {
    return (
      <main className="work dashboard">{status.error === undefined ? <Loading /> : <Broken status={status} />}</main>
    );
  }
  return (
    <main className="work dashboard" data-staff={staff}>
      <h1 className="spoken">Dashboard</h1>
      <StaleSince status={status} />
      <Summary status={status.data} rates={rates} />
      <div className="dashboard-column">
        <Feeds status={status.data} signedIn={user !== null} staff={staff} />
        {market_data ? <PricesCard followed={followed} /> : <NoPrices />}
      </div>
      <div className="dashboard-column">
        <LatencyCard told={status.data.latency_ms} />
        {market_data && <LedgerCard staff={staff} />}
      </div>
      {staff && <ForceCard suggested={followed.map(({ symbol }) => symbol)} />}
    </main>
  );
}

function NoPrices() {
  return (
    <section className="card" aria-label="Prices">
      <Empty title="Prices are for whoever is signed in">Sign in to see them move, and what of them is missing.</Empty>
    </section>
  );
}

function Loading() {
  return (
    <section className="card" aria-label="Service">
      <Skeleton rows={4} />
    </section>
  );
}

function Broken({ status: { error, reload } }: { status: Polled<ServiceStatus> }) {
  return (
    <section className="card" aria-label="Service">
      <Failure what="The service does not tell how it is" error={error ?? new Error()} retry={reload} />
    </section>
  );
}

/** What is on show stays on show, and says how old it is. */
function StaleSince({ status: { error, at } }: { status: Polled<ServiceStatus> }) {
  const now = useNow(1000);
  if (error === undefined || at === null) return null;
  return (
    <p className="banner stale-since" role="alert">
      {/* Read out once, not each second. */}
      {sentenceOf(error)} All this is as of {clock(new Date(at).toISOString())}
      <span aria-hidden="true">, {age(now - at)} ago</span>.
    </p>
  );
}

/** Ticks a second as each answer told them, oldest first. */
function useRates(status: ServiceStatus | undefined, at: number | null): number[] {
  const kept = useRef<number[]>([]);
  const seen = useRef<number | null>(null);
  if (status !== undefined && at !== seen.current) {
    seen.current = at;
    kept.current = [...kept.current, status.processing.messages_per_second].slice(-RATES_KEPT);
  }
  return kept.current;
}

/** The symbols that are followed most, as they were when the page was opened: tiles that change places are no use. */
function useFollowed(status: ServiceStatus | undefined): Followed[] {
  const { market_data } = useBootstrap();
  const instruments = useResource(market_data ? "instruments" : null, getInstruments);
  const [symbols, setSymbols] = useState<string[] | null>(null);
  const known = instruments.data !== undefined || instruments.error !== undefined;
  useEffect(() => {
    if (symbols !== null || status === undefined || !known) return;
    const top = status.global_stats.top_symbols.map(({ symbol }) => symbol);
    const all = (instruments.data ?? []).map(({ symbol }) => symbol);
    setSymbols([...new Set([...top, ...all])].slice(0, PRICES_SHOWN));
  }, [symbols, status, known, instruments.data]);
  const counts = new Map(status?.global_stats.top_symbols.map(({ symbol, subscribers }) => [symbol, subscribers]));
  return (symbols ?? []).map((symbol) => ({ symbol, subscribers: counts.get(symbol) ?? 0 }));
}

function Feeds({ status, signedIn, staff }: { status: ServiceStatus; signedIn: boolean; staff: boolean }) {
  const read = usePolled(signedIn ? "feeds" : null, getFeeds, FEEDS_MS);
  const told = useFeedEvents(staff);
  const now = useServerNow(1000);
  const rows = useMemo(() => feedRows(status.feeds, read.data, told, now), [status.feeds, read.data, told, now]);
  return <FeedsCard rows={rows} />;
}

/** For staff: what each feed says of itself every second, by its name. */
function useFeedEvents(staff: boolean): ReadonlyMap<string, { event: FeedEvent; at: number }> {
  const [told, setTold] = useState<ReadonlyMap<string, { event: FeedEvent; at: number }>>(new Map());
  useEvents<FeedEvent>(staff ? "feeds" : null, {
    event: ({ data, timestamp }) =>
      setTold((before) => new Map(before).set(data.provider, { event: data, at: Date.parse(timestamp) })),
  });
  return told;
}

mount(<DashboardPage />);
