import type { ReactNode } from "react";
import { useBootstrap } from "../hooks/bootstrap";
import { Icon, Logo } from "./icons";

/** In the portfolio's place, for a visitor. */
export function SignInCard() {
  const { login_url } = useBootstrap();
  return (
    <section className="card portfolio signin-card" aria-label="Portfolio">
      <div className="notice">
        <Icon name="wallet" size={24} />
        <p className="notice-title">Your portfolio, live</p>
        <p className="notice-text">Sign in to see its value follow the market, and to be told of signals.</p>
        <a className="button primary" href={login_url}>
          Sign in
        </a>
      </div>
    </section>
  );
}

/** The whole page, where market data is not open to visitors. */
export function Welcome() {
  const { login_url } = useBootstrap();
  return (
    <main className="welcome">
      <Logo />
      <h1>The market, your portfolio and your signals, live on one page.</h1>
      <p>Market data on this server is for its users.</p>
      <a className="button primary" href={login_url}>
        Sign in
      </a>
    </main>
  );
}

/** A page that is somebody's own, for a visitor: the way in leads back to it. */
export function SignInFirst({ title, path, children }: { title: string; path: string; children: ReactNode }) {
  const { login_url } = useBootstrap();
  return (
    <main className="welcome">
      <Logo />
      <h1>{title}</h1>
      <p>{children}</p>
      <a className="button primary" href={`${login_url}?next=${encodeURIComponent(path)}`}>
        Sign in
      </a>
    </main>
  );
}

/** The session ended while the page was open. */
export function SessionEnded() {
  const { login_url } = useBootstrap();
  return (
    <p className="banner" role="alert">
      Your session has ended. <a href={login_url}>Sign in again</a> to see your portfolio.
    </p>
  );
}
