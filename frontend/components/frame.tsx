/** What every page stands in: the header, what went wrong, and news for a moment. */

import { type ReactNode, useCallback, useEffect, useState } from "react";
import type { Notification } from "../api";
import { SIGN_IN_NEEDED } from "../client";
import { useBootstrap } from "../hooks/bootstrap";
import { useNotifications } from "../hooks/notifications";
import { useClient, useConnection } from "../hooks/realtime";
import { type Theme, useTheme } from "../hooks/theme";
import { Header } from "./header";
import { Toasts } from "./notifications";
import { SessionEnded } from "./signin";

const TOASTS_MAX = 3;

interface Props {
  /** The page's own path, for the navigation. */
  current: string;
  onNews?: (notification: Notification) => void;
  children: (theme: Theme) => ReactNode;
}

export function Frame({ current, onNews, children }: Props) {
  const { user } = useBootstrap();
  const [theme, toggleTheme] = useTheme();
  const [toasts, setToasts] = useState<Notification[]>([]);
  const dismiss = useCallback(
    (id: string) => setToasts((shown) => shown.filter((item) => item.notification_id !== id)),
    [],
  );
  const notifications = useNotifications(user !== null, (item) => {
    setToasts((shown) => [...shown, item].slice(-TOASTS_MAX));
    onNews?.(item);
  });
  return (
    <>
      <Header current={current} theme={theme} toggleTheme={toggleTheme} notifications={notifications} />
      <div className="page-body">
        <Banners />
        {children(theme)}
      </div>
      <Toasts items={toasts} dismiss={dismiss} />
    </>
  );
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
