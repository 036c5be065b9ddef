import { useCallback, useEffect, useReducer } from "react";
import { getNotifications, type Notification } from "../api";
import { useClient, useEvents } from "./realtime";
import { useResource } from "./resource";

export const NOTIFICATIONS_MAX = 100;

export type Action =
  | { kind: "loaded"; notifications: Notification[] }
  | { kind: "came"; notification: Notification }
  | { kind: "read"; ids: string[] };

/** The list after one more thing happened: newest first, each id once. */
export function reduce(list: Notification[], action: Action): Notification[] {
  switch (action.kind) {
    case "loaded":
      return merge(action.notifications, list);
    case "came":
      return merge([action.notification], list);
    case "read":
      return list.map((item) => (action.ids.includes(item.notification_id) ? { ...item, read: true } : item));
  }
}

/** What was marked as read here stays read, though an older answer of the server says otherwise. */
function merge(newer: Notification[], list: Notification[]): Notification[] {
  const byId = new Map(list.map((item) => [item.notification_id, item]));
  for (const item of newer) {
    const known = byId.get(item.notification_id);
    byId.set(item.notification_id, { ...item, read: item.read || known?.read === true });
  }
  const newestFirst = [...byId.values()].sort((a, b) => Date.parse(b.created_at) - Date.parse(a.created_at));
  return newestFirst.slice(0, NOTIFICATIONS_MAX);
}

/** The user's notifications: read once, then live. `onNews` gets each one that has just been made. */
export function useNotifications(signedIn: boolean, onNews: (notification: Notification) => void) {
  const client = useClient();
  const [list, dispatch] = useReducer(reduce, []);
  const { data, error, loading, reload } = useResource(signedIn ? "notifications" : null, getNotifications);
  useEffect(() => {
    if (data !== undefined) dispatch({ kind: "loaded", notifications: data.map(withTextId) });
  }, [data]);

  useEvents<Notification & { notification_ids?: (string | number)[] }>(signedIn ? "notifications" : null, {
    event: ({ type, data: payload, position }) => {
      if (type === "read") return dispatch({ kind: "read", ids: (payload.notification_ids ?? []).map(String) });
      const notification = withTextId(payload);
      dispatch({ kind: "came", notification });
      // Only an event has a position; a snapshot tells of what is old already.
      if (position !== undefined && !notification.read) onNews(notification);
    },
    reset: reload,
  });

  const markRead = useCallback(
    (ids: string[]) => {
      if (ids.length === 0) return;
      dispatch({ kind: "read", ids });
      client?.send("mark_read", { notification_ids: ids });
    },
    [client],
  );
  return { list, unread: list.filter((item) => !item.read).length, error, loading, reload, markRead };
}

function withTextId(notification: Notification): Notification {
  return { ...notification, notification_id: String(notification.notification_id) };
}
