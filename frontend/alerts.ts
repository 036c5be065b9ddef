/** A user's alerts: their shapes as the server tells them, the calls, and what their states are in words. */

import type { Priority } from "./api";
import { age, moment } from "./format";
import { getAll } from "./http";

export type Status = "armed" | "snoozed" | "fired" | "expired" | "disabled" | "broken";
export type Mode = "once" | "every" | "once_per_bar";

export interface Alert {
  id: number;
  name: string;
  symbol: string | null;
  condition: unknown;
  description: string;
  mode: Mode;
  interval: string;
  confirmations: number;
  cooldown_s: number;
  escalating: boolean;
  at_once: boolean;
  expires_at: string | null;
  snoozed_until: string | null;
  session: "any" | "regular";
  priority: Priority;
  note: string;
  status: Status;
  reason: string;
  armed: boolean;
  cooling_until: string | null;
  generation: number;
  last_fired_at: string | null;
  currency: string | null;
}

export interface Firing {
  generation: number;
  fired_at: string;
  late_s: number;
  observed: Record<string, number>;
  reason: string;
  gapped: boolean;
}

/** What it saw, by what was asked: "BTC-USD 70,012.5 · BTC-USD RSI(14) 1h 28.41". */
export function figures(observed: Record<string, number>): string {
  const shown = Object.entries(observed).map(([label, value]) => `${label} ${figure(value)}`);
  return shown.join(" · ");
}

function figure(value: number): string {
  return value.toLocaleString("en-US", { maximumSignificantDigits: Math.abs(value) >= 1e6 ? 12 : 8 });
}

export interface DryRun {
  description: string;
  symbol: string;
  interval: string;
  from: string;
  to: string;
  bars: number;
  count: number;
  firings: { generation: number; at: string; price: number | null; reason: string; spiked: boolean; gapped: boolean }[];
  unsupported: { kind: string; label: string; reason: string }[];
}

export function getAlerts(signal: AbortSignal): Promise<Alert[]> {
  return getAll("/api/alerts/?limit=1000", signal);
}

/** Whether its owner has called it something; else its name is the condition in words, cut where that is long. */
export function isNamed({ name, description }: Alert): boolean {
  return name !== description && !(name.endsWith("…") && description.startsWith(name.slice(0, -1)));
}

export const STATUS_WORDS: Record<Status, string> = {
  armed: "Armed",
  snoozed: "Snoozed",
  fired: "Fired",
  expired: "Expired",
  disabled: "Off",
  broken: "Broken",
};

/** What comes next, by the server's clock (ms). Pure, but for the reader's time zone. */
export function next(alert: Alert, now: number): string {
  if (alert.status === "snoozed" && alert.snoozed_until !== null) return `Silent until ${moment(alert.snoozed_until)}`;
  if (alert.status === "fired") return "Done, until it is armed again";
  if (alert.status === "expired") return alert.expires_at === null ? "Over" : `Over since ${moment(alert.expires_at)}`;
  if (alert.status === "disabled") return "Switched off";
  if (alert.status === "broken") return alert.reason;
  const cooling = alert.cooling_until === null ? 0 : Date.parse(alert.cooling_until) - now;
  if (cooling > 0) return `Cooling for ${age(cooling)}`;
  // Whether what has cooled meanwhile is over, the server tells when it is asked again.
  if (!alert.armed && alert.cooling_until === null) return "Waits until it is over";
  return alert.expires_at === null ? "Watching" : `Watching until ${moment(alert.expires_at)}`;
}

export function often({ mode, interval, cooldown_s, escalating }: Alert): string {
  const words = { once: "Once", every: "Each time", once_per_bar: `Once in each bar of ${interval}` }[mode];
  if (mode === "once" || cooldown_s === 0) return words;
  return `${words}, at most every ${age(cooldown_s * 1000)}${escalating ? ", ever longer" : ""}`;
}

/** Those that still watch come first, then the newest. */
export function sorted(alerts: Alert[]): Alert[] {
  const rank = (alert: Alert) => (alert.status === "armed" || alert.status === "snoozed" ? 0 : 1);
  return [...alerts].sort((a, b) => rank(a) - rank(b) || b.id - a.id);
}
