import { Fragment, useState } from "react";
import { age, moment, quantity, UNKNOWN } from "../format";
import { useBootstrap } from "../hooks/bootstrap";
import { duration, type Feed, type FeedRow, latency, perSecond, stateOf } from "../status";
import { Empty } from "./states";
import { Term, Terms } from "./terms";

/** Every feed of the installation. Who is signed in may open a row. */
export function FeedsCard({ rows }: { rows: FeedRow[] }) {
  const { user, staff, login_url } = useBootstrap();
  return (
    <section className="card feeds-card" aria-label="Feeds">
      <div className="card-head">
        <h2>Feeds</h2>
        {staff && <a href="/admin/ingestion/feed/">Start and stop</a>}
      </div>
      {rows.length === 0 ? (
        <Empty title="No feed is set up here">FEEDS names those that are listened to.</Empty>
      ) : (
        <FeedTable rows={rows} />
      )}
      {user === null && (
        <p className="card-foot">
          <span>
            <a href={`${login_url}?next=${encodeURIComponent(location.pathname)}`}>Sign in</a> to see what each feed
            could not take, and on what terms its prices come.
          </span>
        </p>
      )}
    </section>
  );
}

function FeedTable({ rows }: { rows: FeedRow[] }) {
  const [open, setOpen] = useState<string | null>(null);
  return (
    <div className="scroll">
      <table className="feeds">
        <thead>
          <tr>
            <th scope="col">Feed</th>
            <th scope="col">State</th>
            <th scope="col" className="number">
              Tick age
            </th>
            <th scope="col" className="number col-small">
              Ticks/s
            </th>
            <th scope="col" className="number col-medium">
              Symbols
            </th>
            <th scope="col" className="number col-wide">
              Latency p50
            </th>
            <th scope="col" className="number col-wide">
              Reconnects
            </th>
            <th scope="col" className="number">
              Gaps
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <Fragment key={row.provider}>
              <Row
                row={row}
                open={open === row.provider}
                toggle={() => setOpen(open === row.provider ? null : row.provider)}
              />
              {open === row.provider && row.more !== undefined && (
                <tr id={`feed-${row.provider}`} className="feed-more">
                  <td colSpan={8}>
                    <Details feed={row.more} />
                  </td>
                </tr>
              )}
            </Fragment>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Row({ row, open, toggle }: { row: FeedRow; open: boolean; toggle: () => void }) {
  const { tone, words } = stateOf(row.state);
  return (
    <tr data-feed={row.provider} data-state={row.state}>
      <th scope="row">
        {row.more === undefined ? (
          <span className="symbol">{row.provider}</span>
        ) : (
          <button type="button" className="expander" aria-expanded={open} onClick={toggle}>
            {row.provider}
          </button>
        )}
      </th>
      <td>
        <span className={`feed-state ${tone}`}>
          <span className="dot" aria-hidden="true" />
          {words}
        </span>
        {note(row) !== null && <span className="under muted">{note(row)}</span>}
      </td>
      <td className="number">{row.ageMs === null ? "never" : age(row.ageMs)}</td>
      <td className="number col-small">{perSecond(row.ticksPerS)}</td>
      <td className="number col-medium">{quantity(row.symbols)}</td>
      <td className="number col-wide">{latency(row.latency.p50)}</td>
      <td className="number col-wide">{figure(row.reconnects)}</td>
      <td className={`number ${row.gapsOpen ? "caution" : ""}`}>{figure(row.gapsOpen)}</td>
    </tr>
  );
}

/** Why its state is what it is, where that is known. */
function note({ closed, more }: FeedRow): string | null {
  if (more?.wanted === "paused") {
    return more.paused_until === null ? "paused by staff" : `paused until ${moment(more.paused_until)}`;
  }
  if (more?.wanted === "stopped") return "stopped by staff";
  return closed ? "markets closed" : null;
}

function figure(value: number | null): string {
  return value === null ? UNKNOWN : quantity(value);
}

function Details({ feed }: { feed: Feed }) {
  const books = Object.entries(feed.books).map(([state, count]) => `${count} ${state}`);
  return (
    <Terms>
      <Term name="Could not be read">{counted(feed.malformed, "frame")}</Term>
      <Term name="Put aside">{counted(feed.quarantined, "tick")}</Term>
      <Term name="Dropped">{counted(feed.dropped, "tick")}</Term>
      {feed.journal_full && <Term name="Journal">Full: ticks are not taken in until the database has caught up.</Term>}
      {books.length > 0 && <Term name="Books">{books.join(", ")}</Term>}
      {feed.clock_skew_ms > 0 && <Term name="Our clock is behind by">{latency(feed.clock_skew_ms)}</Term>}
      <Names name="Never heard of" symbols={feed.silent} />
      <Names name="Gone silent" symbols={feed.mute} />
      <Names name="Not given" symbols={feed.refused} />
      {feed.reason !== "" && (
        <Term name="Staff say">
          {feed.reason}
          {feed.changed_by !== null && ` (${feed.changed_by})`}
        </Term>
      )}
      {feed.connections.map((connection, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: its place is all that a connection is known by
        <Term key={index} name={`Socket ${index + 1}`}>
          {stateOf(connection.state).words}, {counted(connection.symbols ?? 0, "symbol")}
          {connection.age_s != null && `, open for ${duration(connection.age_s)}`}
          {connection.last_error ? ` – ${connection.last_error}` : ""}
        </Term>
      ))}
      {feed.last_error !== "" && <Term name="Last trouble">{feed.last_error}</Term>}
      {feed.delay_s !== null && feed.delay_s > 0 && <Term name="Late by up to">{duration(feed.delay_s)}</Term>}
      {feed.terms !== "" && <Term name="Terms">{feed.terms}</Term>}
    </Terms>
  );
}

const NAMES_MAX = 12;

function Names({ name, symbols }: { name: string; symbols: string[] }) {
  if (symbols.length === 0) return null;
  const more = symbols.length - NAMES_MAX;
  return (
    <Term name={name}>
      {symbols.slice(0, NAMES_MAX).join(", ")}
      {more > 0 && ` and ${more} more`}
    </Term>
  );
}

function counted(count: number, word: string): string {
  return count === 0 ? "none" : `${quantity(count)} ${word}${count === 1 ? "" : "s"}`;
}
