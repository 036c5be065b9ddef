/** This browser as a place to be told at: its subscription to web pushes. */

const WORKER = "/service-worker.js";
const KEPT = "tapehouse-webpush";
const KEY_PADDING = 4;

/** Which destination this browser is, as far as it remembers. */
export interface Kept {
  id: number;
  endpoint: string;
}

/** The browser can't, or won't: a sentence for whoever wanted it. */
export class Unavailable extends Error {}

/** Why this browser can't be told; null where nothing stands in the way. */
export function obstacle(): string | null {
  if (!isSecureContext)
    return "Browsers take pushes only on pages that came by https: open this one by its https address.";
  if (!("serviceWorker" in navigator && "PushManager" in window && "Notification" in window)) {
    return "This browser knows no web pushes. On an iPhone or iPad, put this page on the home screen and open it from there.";
  }
  if (Notification.permission === "denied") {
    return "Notifications of this site are blocked in this browser. Allow them in its settings for this site, then reload the page.";
  }
  return null;
}

/** Ask for leave, which browsers allow only just after a press, and subscribe with the server's key. Raises Unavailable. */
export async function subscribe(serverKey: () => Promise<string>): Promise<PushSubscriptionJSON> {
  const inTheWay = obstacle();
  if (inTheWay !== null) throw new Unavailable(inTheWay);
  if ((await Notification.requestPermission()) !== "granted") {
    throw new Unavailable("The browser was not allowed to show notifications of this site.");
  }
  const applicationServerKey = keyBytes(await serverKey());
  try {
    return (await subscription(applicationServerKey)).toJSON();
  } catch (error) {
    throw new Unavailable(`The browser could not subscribe to its push service: ${(error as Error).message}`);
  }
}

async function subscription(applicationServerKey: Uint8Array<ArrayBuffer>): Promise<PushSubscription> {
  await navigator.serviceWorker.register(WORKER, { scope: "/", updateViaCache: "none" });
  const { pushManager } = await navigator.serviceWorker.ready;
  // One that was made with another key can't be used again, and would be in the way.
  await (await pushManager.getSubscription())?.unsubscribe();
  return pushManager.subscribe({ userVisibleOnly: true, applicationServerKey });
}

/** The address that this browser is reached at, null where it is at none. */
export async function currentEndpoint(): Promise<string | null> {
  if (!("serviceWorker" in navigator)) return null;
  const registration = await navigator.serviceWorker.getRegistration("/");
  return (await registration?.pushManager?.getSubscription())?.endpoint ?? null;
}

/** End it, in the browser's push service as well. */
export async function unsubscribe(): Promise<void> {
  forget();
  const registration = await navigator.serviceWorker?.getRegistration("/");
  await (await registration?.pushManager?.getSubscription())?.unsubscribe();
}

export function keep(kept: Kept): void {
  localStorage.setItem(KEPT, JSON.stringify(kept));
}

export function forget(): void {
  localStorage.removeItem(KEPT);
}

export function kept(): Kept | null {
  return JSON.parse(localStorage.getItem(KEPT) ?? "null") as Kept | null;
}

/** URL-safe base64 as bytes. Raises where it is none. */
export function keyBytes(text: string): Uint8Array<ArrayBuffer> {
  const padded = text + "=".repeat((KEY_PADDING - (text.length % KEY_PADDING)) % KEY_PADDING);
  return Uint8Array.from(atob(padded.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));
}

/** A name for this browser, from how it calls itself: "Firefox on Linux". */
export function browserName(agent: string): string {
  const browser = BROWSERS.find(([mark]) => agent.includes(mark))?.[1] ?? "Browser";
  const system = SYSTEMS.find(([mark]) => agent.includes(mark))?.[1];
  return system === undefined ? browser : `${browser} on ${system}`;
}

// The first that fits: each calls itself by the names of older ones, too.
const BROWSERS = [
  ["Edg", "Edge"],
  ["OPR/", "Opera"],
  ["Firefox/", "Firefox"],
  ["Chrome/", "Chrome"],
  ["Safari/", "Safari"],
] as const;
const SYSTEMS = [
  ["Android", "Android"],
  ["iPhone", "iPhone"],
  ["iPad", "iPad"],
  ["Windows", "Windows"],
  ["Mac OS", "Mac"],
  ["CrOS", "ChromeOS"],
  ["Linux", "Linux"],
] as const;
