import { Fragment, useState } from "react";
import { percent, signed, UNKNOWN } from "../format";
import { useResource } from "../hooks/resource";
import { getScorecards, type Scorecard } from "../signals";
import { CheckField } from "./field";
import { Empty, Failure, Skeleton } from "./states";

/** How the strategies have done. */
export function Scorecards() {
  const [bySymbol, setBySymbol] = useState(false);
  const cards = useResource(`scorecards:${bySymbol}`, (signal) => getScorecards(bySymbol, signal));
  return (
    <section className="card scorecards-card" aria-label="Scorecards">
      <div className="card-head">
        <h2>Scorecards</h2>
        <CheckField label="By instrument" checked={bySymbol} change={setBySymbol} />
      </div>
      {cards.data !== undefined ? (
        <Cards cards={cards.data} />
      ) : cards.error !== undefined ? (
        <Failure what="Scorecards could not be loaded" error={cards.error} retry={cards.reload} />
      ) : (
        <Skeleton rows={5} className="tall" />
      )}
    </section>
  );
}

function Cards({ cards }: { cards: Scorecard[] }) {
  const [open, setOpen] = useState<string | null>(null);
  if (cards.length === 0) {
    return <Empty title="Nothing is scored yet">Each signal is, once it has reached target, stop or its end.</Empty>;
  }
  return (
    <>
      <div className="scroll">
        <table className="scorecards">
          <thead>
            <tr>
              <th scope="col">Strategy</th>
              <th scope="col" className="number col-medium">
                Scored
              </th>
              <th scope="col" className="col-rate">
                Reached the target
              </th>
              <th scope="col" className="number">
                Mean R
              </th>
              <th scope="col" className="number col-wide">
                A signal returned
              </th>
              <th scope="col" className="number col-wide">
                Bars held
              </th>
              <th scope="col" className="number col-wide">
                Best / worst, R
              </th>
            </tr>
          </thead>
          <tbody>
            {cards.map((card) => {
              const key = `${card.strategy} ${card.key} ${card.symbol}`;
              return (
                <Fragment key={key}>
                  <Card card={card} open={open === key} toggle={() => setOpen(open === key ? null : key)} />
                  {open === key &&
                    card.by_strength.map((each) => <Part key={each.strength} name={each.strength} card={each} />)}
                </Fragment>
              );
            })}
          </tbody>
        </table>
      </div>
      <p className="card-foot">
        <span>
          R is what was at risk: the way from entry to stop. Without fees. The band is where the true share lies, 95
          times of 100.
        </span>
      </p>
    </>
  );
}

function Card({ card, open, toggle }: { card: Scorecard; open: boolean; toggle: () => void }) {
  return (
    <tr data-scorecard={card.key}>
      <th scope="row">
        <button type="button" className="expander" aria-expanded={open} onClick={toggle}>
          {card.strategy}
        </button>
        <span className="under muted" title={card.key}>
          {card.symbol !== null && `${card.symbol}, `}
          {card.interval}
          {card.is_calibrated && " · calibrates confidence"}
        </span>
      </th>
      <Figures card={card} />
    </tr>
  );
}

type Counts = Omit<Scorecard, "strategy" | "key" | "interval" | "symbol" | "by_strength">;

function Part({ name, card }: { name: string; card: Counts }) {
  return (
    <tr className="scorecard-part">
      <th scope="row">{name.toLowerCase()}</th>
      <Figures card={card} />
    </tr>
  );
}

function Figures({ card }: { card: Counts }) {
  return (
    <>
      <td className="number col-medium">
        {card.n}
        {card.skipped > 0 && <span className="under muted">{card.skipped} skipped</span>}
      </td>
      <td className="col-rate">
        <Rate card={card} />
      </td>
      <td className="number">{signed(card.mean_r)}</td>
      <td className="number col-wide">{percent(card.expectancy_percent)}</td>
      <td className="number col-wide">{card.median_bars ?? UNKNOWN}</td>
      <td className="number col-wide">
        {signed(card.mfe_r)} / {signed(card.mae_r)}
      </td>
    </>
  );
}

/** The share that reached the target, and how sure that is. */
function Rate({ card: { hit_rate, hit_rate_low, hit_rate_high, hits, n } }: { card: Counts }) {
  if (hit_rate === null || hit_rate_low === null || hit_rate_high === null) return <>{UNKNOWN}</>;
  const whole = (part: number) => `${Math.round(part * 100)}%`;
  return (
    <>
      <span className="rate-words">
        <strong>{whole(hit_rate)}</strong>
        <span className="muted">
          {" "}
          {Math.round(hit_rate_low * 100)}–{whole(hit_rate_high)} of {n}
        </span>
      </span>
      <span className="rate-track" role="img" aria-label={`${hits} of ${n}`}>
        <span
          className="rate-band"
          style={{ left: `${hit_rate_low * 100}%`, width: `${(hit_rate_high - hit_rate_low) * 100}%` }}
        />
        <span className="rate-mark" style={{ left: `${hit_rate * 100}%` }} />
      </span>
    </>
  );
}
