/**
 * Shows web pushes, and opens what they are about. Served at `/service-worker.js`, so that it is in charge of every page.
 *
 * A push is `{"notification_id", "title", "message", "notification_type", "priority", "created_at", "link", "path"}`.
 */

// A new one takes over at once: there is nothing here that an open page depends on.
self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("push", (event) => event.waitUntil(show(read(event.data))));

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(open(address(event.notification.data?.path)));
});

/** What was pushed. Browsers want something shown for each push, whatever it holds. */
function read(data) {
  try {
    return data?.json() ?? {};
  } catch {
    return {};
  }
}

function show({ notification_id, title, message, priority, created_at, path }) {
  const at = Date.parse(created_at);
  return self.registration.showNotification(title || "Tapehouse", {
    body: message ?? "",
    icon: "/static/favicon.svg",
    // The same one, pushed again, takes its own place.
    tag: notification_id || "test",
    silent: priority === "low",
    requireInteraction: priority === "critical",
    ...(Number.isNaN(at) ? {} : { timestamp: at }),
    data: { path },
  });
}

/** A page of ours, whatever was pushed. */
function address(path) {
  const url = new URL(typeof path === "string" ? path : "/", self.location.origin);
  return url.origin === self.location.origin ? url.href : `${self.location.origin}/`;
}

/** Bring the page to the front where it is open; where only the same page about something else is, lead that there. */
async function open(url) {
  const windows = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const there = windows.find((each) => each.url === url);
  if (there !== undefined) return there.focus();
  const alike = windows.find((each) => new URL(each.url).pathname === new URL(url).pathname);
  if (alike === undefined) return self.clients.openWindow(url);
  try {
    return await (await alike.focus()).navigate(url);
  } catch {
    // A page that is in another worker's charge can't be led.
    return self.clients.openWindow(url);
  }
}
