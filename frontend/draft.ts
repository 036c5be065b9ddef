/** An alert as its form holds it: everything as it was typed. Pure, but for the reader's time zone. */

import { type Alert, isNamed, type Mode } from "./alerts";
import type { Priority } from "./api";
import { blankCondition, type Condition, read, written } from "./conditions";

export interface Draft {
  condition: Condition;
  /** What parts are about that name no instrument; only alerts that were not made here have one. */
  symbol: string | null;
  name: string;
  mode: Mode;
  interval: string;
  confirmations: string;
  cooldownMinutes: string;
  escalating: boolean;
  at_once: boolean;
  expires: string;
  session: "any" | "regular";
  priority: Priority;
  note: string;
}

export function blankDraft(symbol: string): Draft {
  return {
    condition: blankCondition(symbol),
    symbol: null,
    name: "",
    mode: "every",
    interval: "1m",
    confirmations: "1",
    cooldownMinutes: "5",
    escalating: false,
    at_once: true,
    expires: "",
    session: "any",
    priority: "normal",
    note: "",
  };
}

export function draftOf(alert: Alert): Draft {
  return {
    condition: read(alert.condition),
    symbol: alert.symbol,
    // A name that is only the condition in words follows it.
    name: isNamed(alert) ? alert.name : "",
    mode: alert.mode,
    interval: alert.interval || "1m",
    confirmations: String(alert.confirmations),
    cooldownMinutes: String(alert.cooldown_s / 60),
    escalating: alert.escalating,
    at_once: alert.at_once,
    expires: alert.expires_at === null ? "" : localTime(alert.expires_at),
    session: alert.session,
    priority: alert.priority,
    note: alert.note,
  };
}

/** As `<input type="datetime-local">` takes it. */
export function localTime(iso: string): string {
  const at = new Date(iso);
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/** The body that makes the alert. Raises NoJson where a raw condition is none. */
export function body(draft: Draft): Record<string, unknown> {
  const { condition, symbol, cooldownMinutes, confirmations, expires, interval, ...rest } = draft;
  const repeats = rest.mode !== "once";
  return {
    ...rest,
    ...(symbol === null ? {} : { symbol }),
    condition: written(condition),
    confirmations: number(confirmations, 1, (count) => count),
    cooldown_s: repeats ? number(cooldownMinutes, 0, (minutes) => minutes * 60) : 0,
    escalating: repeats && rest.escalating,
    expires_at: expires === "" ? null : new Date(expires).toISOString(),
    interval: rest.mode === "once_per_bar" ? interval : null,
  };
}

/** The body that asks whether it would have fired: when it is to end says nothing about the past. */
export function pastBody(draft: Draft): Record<string, unknown> {
  return body({ ...draft, expires: "" });
}

/** The body that changes an alert: only what is another now, since what is asked anew is armed anew. */
export function changes(before: Draft, after: Draft): Record<string, unknown> {
  const old = body(before);
  const entries = Object.entries(body(after));
  return Object.fromEntries(entries.filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(old[name])));
}

/** What isn't a number goes as it is, for the server to refuse by name. */
function number(text: string, empty: number, scale: (value: number) => number): number | string {
  const value = text.trim() === "" ? empty : Number(text);
  return Number.isFinite(value) ? scale(value) : text;
}
