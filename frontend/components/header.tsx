import { useBootstrap } from "../hooks/bootstrap";
import type { useNotifications } from "../hooks/notifications";
import type { Theme } from "../hooks/theme";
import { Connection } from "./connection";
import { Icon, Logo } from "./icons";
import { Bell } from "./notifications";

interface Props {
  current: string;
  theme: Theme;
  toggleTheme: () => void;
  notifications: ReturnType<typeof useNotifications>;
}

/** Where one can go, signed in or not: a page that is somebody's own asks to sign in. */
const PLACES = [
  { path: "/", label: "Market" },
  { path: "/alerts/", label: "Alerts" },
  { path: "/signals/", label: "Signals" },
  { path: "/realtime/dashboard/", label: "Dashboard" },
  { path: "/settings/notifications/", label: "Settings" },
];

export function Header({ current, theme, toggleTheme, notifications }: Props) {
  const { user, market_data } = useBootstrap();
  return (
    <header className="header">
      <a className="brand" href="/">
        <Logo />
        Tapehouse
      </a>
      <Navigation current={current} />
      <div className="header-actions">
        {market_data && <Connection />}
        <button
          type="button"
          className="icon-button"
          onClick={toggleTheme}
          aria-label={theme === "dark" ? "Use light colours" : "Use dark colours"}
        >
          <Icon name={theme === "dark" ? "sun" : "moon"} />
        </button>
        {user !== null && <Bell {...notifications} />}
        <Account />
      </div>
    </header>
  );
}

function Navigation({ current }: { current: string }) {
  return (
    <nav className="places" aria-label="Pages">
      {PLACES.map(({ path, label }) => (
        <a key={path} href={path} aria-current={path === current ? "page" : undefined}>
          {label}
        </a>
      ))}
    </nav>
  );
}

function Account() {
  const { user, login_url, logout_url, csrf_token } = useBootstrap();
  if (user === null) {
    return (
      <a className="button primary" href={login_url}>
        Sign in
      </a>
    );
  }
  return (
    <form className="account" method="post" action={logout_url}>
      <input type="hidden" name="csrfmiddlewaretoken" value={csrf_token} />
      <span className="account-name">{user.username}</span>
      <button type="submit" className="button">
        Sign out
      </button>
    </form>
  );
}
