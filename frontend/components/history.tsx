/** All that a user was told. */

import { useState } from "react";
import type { Notification } from "../api";
import { typeLabel } from "../destinations";
import { moment } from "../format";
import { useAction } from "../hooks/action";
import { useSend } from "../hooks/bootstrap";
import { useHeard } from "../hooks/heard";
import { usePages } from "../hooks/pages";
import { useEvents } from "../hooks/realtime";
import { Segments } from "./field";
import { Icon } from "./icons";
import { isUrgent } from "./notifications";
import { Older } from "./older";
import { Empty, Failure, Skeleton } from "./states";

const URL = "/api/notifications/";
// Events tell of what is new; this is for whoever's sockets don't get through.
const REFRESH_MS = 60_000;

interface Told extends Notification {
  archived: boolean;
  /** The page that shows what it is about. */
  path: string;
}

type Filter = "all" | "unread" | "archived";
const FILTERS = [
  ["all", "All"],
  ["unread", "Unread"],
  ["archived", "Put away"],
] as const;
const QUERIES: Record<Filter, string> = { all: "", unread: "?unread=true", archived: "?archived=true" };
const EMPTY: Record<Filter, string> = {
  all: "Signals and alerts will be told here.",
  unread: "You have read everything.",
  archived: "What you put away is kept here until it is too old.",
};

interface Props {
  heard: number;
  showLog: (notification: string) => void;
}

export function History({ heard, showLog }: Props) {
  const send = useSend();
  const { busy, error, run } = useAction();
  const [filter, setFilter] = useState<Filter>("all");
  const told = usePages<Told>(`${URL}${QUERIES[filter]}`, REFRESH_MS);
  useHeard(heard, told.reload);
  // What was read on another tab or device, or in the bell above.
  useEvents("notifications", { event: ({ type }) => type === "read" && told.reload(), reset: told.reload });
  const act = async (request: () => Promise<unknown>) => {
    const done = await run(async () => {
      await request();
      return true;
    });
    if (done) told.reload();
  };
  const newest = told.rows?.[0]?.notification_id;
  const unread = told.rows?.some(({ read }) => !read) ?? false;
  return (
    <section className="card" aria-labelledby="history-title">
      <div className="card-head wrapping">
        <h2 id="history-title">All notifications</h2>
        {unread && (
          <button
            type="button"
            className="link"
            disabled={busy}
            onClick={() => act(() => send("POST", `${URL}read-all/`, { up_to: newest }))}
          >
            Mark all as read
          </button>
        )}
        <Segments legend="Which" name="history" value={filter} choices={FILTERS} change={setFilter} />
      </div>
      {error !== null && (
        <p className="form-error" role="alert">
          {error}
        </p>
      )}
      {told.rows === undefined ? (
        told.error === undefined ? (
          <Skeleton rows={6} />
        ) : (
          <Failure what="Notifications could not be loaded" error={told.error} retry={told.reload} />
        )
      ) : told.rows.length === 0 ? (
        <Empty title="Nothing here">{EMPTY[filter]}</Empty>
      ) : (
        <ul className="history">
          {told.rows.map((item) => (
            <Item
              key={item.notification_id}
              item={item}
              busy={busy}
              change={(some) => act(() => send("PATCH", `${URL}${encodeURIComponent(item.notification_id)}/`, some))}
              showLog={() => showLog(item.notification_id)}
            />
          ))}
        </ul>
      )}
      <Older more={told.more} older={told.older} />
    </section>
  );
}

interface ItemProps {
  item: Told;
  busy: boolean;
  change: (some: { read: true } | { archived: boolean }) => void;
  showLog: () => void;
}

function Item({ item, busy, change, showLog }: ItemProps) {
  const { title, message, notification_type, priority, read, archived, created_at, path } = item;
  return (
    <li
      className={`notification ${read ? "" : "unread"} priority-${priority}`}
      data-notification={item.notification_id}
    >
      <div className="notification-body">
        <p className="notification-title">
          <a href={path}>{title}</a>
          {!read && <span className="spoken">, unread</span>}
        </p>
        <p className="notification-message">{message}</p>
        <p className="notification-meta">
          {typeLabel(notification_type)} · <time dateTime={created_at}>{moment(created_at)}</time>
          {isUrgent(item) && <span className="tag">{priority}</span>}
          {" · "}
          <button type="button" className="link" onClick={showLog}>
            Deliveries
          </button>
        </p>
      </div>
      {!read && (
        <button
          type="button"
          className="icon-button"
          disabled={busy}
          aria-label={`Mark “${title}” as read`}
          title="Mark as read"
          onClick={() => change({ read: true })}
        >
          <Icon name="check" />
        </button>
      )}
      <button
        type="button"
        className="icon-button"
        disabled={busy}
        aria-label={`${archived ? "Take out" : "Put away"} “${title}”`}
        title={archived ? "Take out again" : "Put away"}
        onClick={() => change({ archived: !archived })}
      >
        <Icon name={archived ? "back" : "close"} />
      </button>
    </li>
  );
}
