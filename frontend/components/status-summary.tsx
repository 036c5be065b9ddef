import type { ReactNode } from "react";
import { quantity } from "../format";
import { duration, perSecond, type ServiceStatus, serviceOf, share } from "../status";
import { line } from "./sparkline";

interface Props {
  status: ServiceStatus;
  /** Ticks a second of late, oldest first. */
  rates: number[];
}

/** The service in a word, and the figures that an operator looks at first. */
export function Summary({ status, rates }: Props) {
  const { global_stats: all, processing, user_stats: own } = status;
  return (
    <section className="card summary" aria-label="Service">
      <Service status={status} />
      <dl className="summary-figures">
        <Figure name="Ticks a second" under={`${quantity(processing.messages_processed)} taken in`} trend={rates}>
          {perSecond(processing.messages_per_second)}
        </Figure>
        <Figure name="Sent a second" under={`${quantity(all.total_messages)} to browsers`}>
          {perSecond(all.average_message_rate)}
        </Figure>
        <Figure name="Connections" under={people(all.authenticated_users)}>
          {quantity(all.total_connections)}
        </Figure>
        <Figure
          name="Subscriptions"
          under={`${quantity(all.asset_subscriptions)} to prices, ${quantity(all.portfolio_subscriptions)} to portfolios`}
        >
          {quantity(all.symbol_subscriptions + all.portfolio_subscriptions)}
        </Figure>
        <Figure
          name="Errors"
          under={processing.errors === 0 ? "every tick was kept" : `${counted(processing.errors, "tick")} not kept`}
        >
          {share(processing.error_rate)}
        </Figure>
      </dl>
      {own !== null && (
        <p className="card-foot">
          <span>
            Yours: {counted(own.connection_count, "connection")}, {counted(own.subscriptions.assets.length, "price")}{" "}
            and {counted(own.subscriptions.portfolios.length, "portfolio")} followed.
          </span>
        </p>
      )}
    </section>
  );
}

function Service({ status }: { status: ServiceStatus }) {
  const { tone, word, sentence } = serviceOf(status);
  const { uptime_seconds } = status.processing;
  return (
    <div className={`service ${tone}`} role="status" data-service={status.service_status}>
      <p className="service-word">
        <span className="dot" aria-hidden="true" />
        {word}
      </p>
      <p className="muted">{sentence}</p>
      {uptime_seconds > 0 && (
        // It counts on: no reader of text wants to hear each second.
        <p className="muted" aria-hidden="true">
          Up for {duration(uptime_seconds)}
        </p>
      )}
    </div>
  );
}

function Figure({
  name,
  under,
  trend,
  children,
}: {
  name: string;
  under: string;
  trend?: number[];
  children: ReactNode;
}) {
  return (
    <div className="summary-figure">
      <dt>{name}</dt>
      <dd className="summary-value">{children}</dd>
      <dd className="summary-under">{under}</dd>
      {trend !== undefined && trend.length > 1 && (
        <dd className="summary-trend">
          <svg viewBox="0 0 64 24" preserveAspectRatio="none" aria-hidden="true">
            <polyline points={line(trend)} />
          </svg>
        </dd>
      )}
    </div>
  );
}

function counted(count: number, word: string): string {
  return `${quantity(count)} ${word}${count === 1 ? "" : "s"}`;
}

function people(count: number): string {
  return count === 0 ? "nobody signed in" : `${counted(count, "user")} signed in`;
}
