import { useEffect, useRef, useState } from "react";
import type { Notification } from "../api";
import { ago } from "../format";
import { useServerNow } from "../hooks/clock";
import type { useNotifications } from "../hooks/notifications";
import { Icon } from "./icons";
import { Empty, Failure, Skeleton } from "./states";

type Props = ReturnType<typeof useNotifications>;

export function Bell(props: Props) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  useDismissal(open, root, () => {
    setOpen(false);
    button.current?.focus();
  });
  return (
    <div className="bell" ref={root}>
      <button
        type="button"
        ref={button}
        className="icon-button"
        aria-label={`Notifications, ${props.unread} unread`}
        aria-expanded={open}
        aria-haspopup="dialog"
        onClick={() => setOpen(!open)}
      >
        <Icon name="bell" />
        {props.unread > 0 && (
          <span className="count" aria-hidden="true">
            {props.unread > 99 ? "99+" : props.unread}
          </span>
        )}
      </button>
      {open && <Panel {...props} />}
    </div>
  );
}

/** Escape and a press elsewhere close what is open. */
function useDismissal(open: boolean, root: { current: HTMLElement | null }, dismiss: () => void): void {
  const current = useRef(dismiss);
  current.current = dismiss;
  useEffect(() => {
    if (!open) return;
    const pressed = (event: PointerEvent) => {
      if (!root.current?.contains(event.target as Node)) current.current();
    };
    const typed = (event: KeyboardEvent) => {
      if (event.key === "Escape") current.current();
    };
    addEventListener("pointerdown", pressed);
    addEventListener("keydown", typed);
    return () => {
      removeEventListener("pointerdown", pressed);
      removeEventListener("keydown", typed);
    };
  }, [open, root]);
}

function Panel({ list, unread, error, loading, reload, markRead }: Props) {
  const unreadIds = list.filter((item) => !item.read).map((item) => item.notification_id);
  return (
    <div className="panel" role="dialog" aria-label="Notifications">
      <div className="panel-head">
        <h2>Notifications</h2>
        {unread > 0 && (
          <button type="button" className="link" onClick={() => markRead(unreadIds)}>
            Mark all as read
          </button>
        )}
      </div>
      {error !== undefined && list.length === 0 ? (
        <Failure what="Notifications could not be loaded" error={error} retry={reload} />
      ) : list.length > 0 ? (
        <ul className="notifications">
          {list.map((item) => (
            <Item key={item.notification_id} item={item} markRead={markRead} />
          ))}
        </ul>
      ) : loading ? (
        <Skeleton rows={4} />
      ) : (
        <Empty title="Nothing yet">Signals and alerts will be told here.</Empty>
      )}
      <a className="panel-foot" href="/settings/notifications/?section=history">
        All notifications
      </a>
    </div>
  );
}

function Item({ item, markRead }: { item: Notification; markRead: Props["markRead"] }) {
  const now = useServerNow(10_000);
  return (
    <li className={`notification ${item.read ? "" : "unread"} priority-${item.priority}`}>
      <div className="notification-body">
        <p className="notification-title">
          {item.title}
          {!item.read && <span className="spoken">, unread</span>}
        </p>
        <p className="notification-message">{item.message}</p>
        <p className="notification-meta">
          <time dateTime={item.created_at}>{ago(now - Date.parse(item.created_at))}</time>
          {isUrgent(item) && <span className="tag">{item.priority}</span>}
        </p>
      </div>
      {!item.read && (
        <button
          type="button"
          className="icon-button small"
          aria-label={`Mark “${item.title}” as read`}
          onClick={() => markRead([item.notification_id])}
        >
          <Icon name="check" size={14} />
        </button>
      )}
    </li>
  );
}

export function isUrgent({ priority }: Notification): boolean {
  return priority === "high" || priority === "critical";
}

const TOAST_MS = 8_000;

/** News, shown for a moment. Pointing at it or focusing it keeps it. */
export function Toasts({ items, dismiss }: { items: Notification[]; dismiss: (id: string) => void }) {
  return (
    <section className="toasts" aria-label="New notifications" aria-live="polite">
      {items.map((item) => (
        <Toast key={item.notification_id} item={item} dismiss={dismiss} />
      ))}
    </section>
  );
}

function Toast({ item, dismiss }: { item: Notification; dismiss: (id: string) => void }) {
  const [held, setHeld] = useState(false);
  const id = item.notification_id;
  useEffect(() => {
    if (held) return;
    const timer = setTimeout(() => dismiss(id), TOAST_MS);
    return () => clearTimeout(timer);
  }, [held, id, dismiss]);
  const hold = { onPointerEnter: () => setHeld(true), onPointerLeave: () => setHeld(false) };
  return (
    <div className={`toast priority-${item.priority}`} {...hold}>
      <Icon name="bell" />
      <div className="toast-body">
        <p className="notification-title">{item.title}</p>
        <p className="notification-message">{item.message}</p>
      </div>
      <button
        type="button"
        className="icon-button small"
        aria-label="Dismiss"
        onClick={() => dismiss(id)}
        onFocus={() => setHeld(true)}
        onBlur={() => setHeld(false)}
      >
        <Icon name="close" size={14} />
      </button>
    </div>
  );
}
