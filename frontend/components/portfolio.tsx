import { useState } from "react";
import { getPortfolios, type Portfolio, type PortfolioUpdate, type Position } from "../api";
import { clock, money, price, quantity } from "../format";
import { useConnection, useTopic } from "../hooks/realtime";
import { useResource } from "../hooks/resource";
import { Change } from "./change";
import { Flash } from "./flash";
import { Empty, Failure, Skeleton } from "./states";

export function PortfolioCard({ choose }: { choose: (symbol: string) => void }) {
  const portfolios = useResource("portfolios", getPortfolios);
  const [chosen, setChosen] = useState<number | null>(null);
  const all = portfolios.data ?? [];
  const portfolio = all.find(({ id }) => id === chosen) ?? all[0];
  return (
    <section className="card portfolio" aria-label="Portfolio">
      <div className="card-head">
        <h2>{portfolio?.name ?? "Portfolio"}</h2>
        {all.length > 1 && <Picker all={all} value={portfolio?.id} change={setChosen} />}
      </div>
      {portfolios.error !== undefined && portfolios.data === undefined ? (
        <Failure what="Portfolios could not be loaded" error={portfolios.error} retry={portfolios.reload} />
      ) : portfolios.data === undefined ? (
        <Skeleton rows={5} />
      ) : portfolio === undefined ? (
        <Empty title="No portfolio yet">Record a deposit or a purchase and its value is followed here.</Empty>
      ) : (
        <Valuation key={portfolio.id} portfolio={portfolio} choose={choose} />
      )}
    </section>
  );
}

function Picker({ all, value, change }: { all: Portfolio[]; value: number | undefined; change: (id: number) => void }) {
  return (
    <select
      className="select"
      aria-label="Which portfolio"
      value={value}
      onChange={(event) => change(Number(event.currentTarget.value))}
    >
      {all.map(({ id, name }) => (
        <option key={id} value={id}>
          {name}
        </option>
      ))}
    </select>
  );
}

function Valuation({ portfolio, choose }: { portfolio: Portfolio; choose: (symbol: string) => void }) {
  const update = useTopic<PortfolioUpdate>(`portfolio:${portfolio.id}`);
  const live = useConnection().phase === "live";
  if (update === undefined) return <Skeleton rows={5} />;
  return (
    <>
      <div className="totals">
        <div className="total">
          <Flash value={update.total_value}>
            <span className="total-value" data-testid="total-value">
              {money(update.total_value)}
            </span>
          </Flash>
          <span className="currency">{portfolio.base_currency}</span>
        </div>
        <dl className="figures">
          <Figure name="Today">
            <Change value={update.daily_change} as="money" /> <Change value={update.daily_change_percent} />
          </Figure>
          <Figure name="Unrealised">
            <Change value={update.unrealized_pnl} as="money" />
          </Figure>
          <Figure name="Realised">
            <Change value={update.realized_pnl} as="money" />
          </Figure>
          <Figure name="Cash">{money(update.cash)}</Figure>
        </dl>
      </div>
      {update.positions.length === 0 ? (
        <Empty title="No positions">Only cash so far.</Empty>
      ) : (
        <Positions update={update} choose={choose} />
      )}
      <p className="card-foot">
        <Caveats update={update} />
        <span className="as-of">
          As of {clock(update.as_of)}
          {!live && " – not updating"}
        </span>
      </p>
    </>
  );
}

function Figure({ name, children }: { name: string; children: React.ReactNode }) {
  return (
    <div className="figure">
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** What the total rests on, said where the total is. */
function Caveats({ update }: { update: PortfolioUpdate }) {
  const parts = [
    update.unpriced.length > 0 ? `Without ${update.unpriced.join(", ")}: no price.` : "",
    update.stale.length > 0 ? `Old price: ${update.stale.join(", ")}.` : "",
  ].filter(Boolean);
  return parts.length > 0 ? <span className="caveat">{parts.join(" ")}</span> : <span />;
}

function Positions({ update, choose }: { update: PortfolioUpdate; choose: (symbol: string) => void }) {
  const largestFirst = [...update.positions].sort((a, b) => (b.value ?? 0) - (a.value ?? 0));
  return (
    <div className="scroll">
      <table className="positions">
        <thead>
          <tr>
            <th scope="col">Position</th>
            <th scope="col" className="number wide">
              Price
            </th>
            <th scope="col" className="number">
              Value
            </th>
            <th scope="col" className="number">
              Unrealised
            </th>
          </tr>
        </thead>
        <tbody>
          {largestFirst.map((position) => (
            <PositionRow key={position.symbol} position={position} update={update} choose={choose} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface PositionProps {
  position: Position;
  update: PortfolioUpdate;
  choose: (symbol: string) => void;
}

function PositionRow({ position, update, choose }: PositionProps) {
  const { symbol } = position;
  return (
    <tr>
      <th scope="row">
        <button type="button" className="symbol-link" onClick={() => choose(symbol)}>
          {symbol}
        </button>
        <span className="name">
          {quantity(position.quantity)}
          <span className="narrow"> × {price(position.price)}</span>
        </span>
      </th>
      <td className="number wide">
        {price(position.price)}
        {update.stale.includes(symbol) && <span className="tag">old price</span>}
        {update.unpriced.includes(symbol) && <span className="tag">no price</span>}
      </td>
      <td className="number">
        <Flash value={position.value}>{money(position.value)}</Flash>
      </td>
      <td className="number">
        <Change value={position.unrealized_pnl} as="money" />
      </td>
    </tr>
  );
}
