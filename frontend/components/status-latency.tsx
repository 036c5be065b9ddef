import { type Hop, hops, latency, place, type ServiceStatus } from "../status";
import { Empty } from "./states";

/** How long a tick takes for each part of its way. */
export function LatencyCard({ told }: { told: ServiceStatus["latency_ms"] }) {
  const rows = hops(told);
  return (
    <section className="card latency-card" aria-label="Latency">
      <div className="card-head">
        <h2>Latency, hop by hop</h2>
        <span className="muted">from p50 to p99</span>
      </div>
      {rows.every(({ p50 }) => p50 === null) ? (
        <Empty title="Nothing measured yet">The first ticks tell.</Empty>
      ) : (
        <table className="hops">
          <thead>
            <tr>
              <th scope="col">Hop</th>
              <th scope="col" className="hop-track-head">
                <Scale />
              </th>
              <th scope="col" className="number">
                p50
              </th>
              <th scope="col" className="number">
                p99
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.map((hop) => (
              <Row key={`${hop.name} ${hop.of}`} hop={hop} />
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

function Row({ hop: { name, of, p50, p99 } }: { hop: Hop }) {
  return (
    <tr>
      <th scope="row">
        {name}
        {of !== null && <span className="under muted">{of}</span>}
      </th>
      <td>
        {p50 !== null && p99 !== null && (
          <span className="hop-track" aria-hidden="true">
            <span className="hop-bar" style={{ left: percent(place(p50)), width: percent(place(p99) - place(p50)) }} />
          </span>
        )}
      </td>
      <td className="number">{latency(p50)}</td>
      <td className="number">{latency(p99)}</td>
    </tr>
  );
}

const MARKS = [
  [1, "1 ms"],
  [100, "100 ms"],
  [10_000, "10 s"],
] as const;

/** Each mark is a hundred times the one before. */
function Scale() {
  return (
    <>
      <span className="spoken">From p50 to p99</span>
      <span className="hop-scale" aria-hidden="true">
        {MARKS.map(([mark, words]) => (
          <span key={mark} style={{ left: percent(place(mark)) }}>
            {words}
          </span>
        ))}
      </span>
    </>
  );
}

function percent(part: number): string {
  return `${(part * 100).toFixed(1)}%`;
}
