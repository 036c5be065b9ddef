/**
 * Where a user is told: the kinds of places, their shapes as the server tells them, and the form of one. Pure, but for
 * the reader's time zone.
 */

import type { Priority } from "./api";
import { moment } from "./format";

export const KINDS = ["email", "telegram", "ntfy", "discord", "slack", "webhook", "webpush"] as const;
export type Kind = (typeof KINDS)[number];
export type DeliveryStatus = "pending" | "sent" | "failed" | "dropped";

export interface Destination {
  id: number;
  kind: Kind;
  name: string;
  address: string;
  /** Secrets are masked. */
  config: Record<string, unknown>;
  min_priority: Priority;
  types: string[];
  enabled: boolean;
  verified: boolean;
  disabled_reason: string;
  failures: number;
  paused_until: string | null;
  last_delivery: { id: number; status: DeliveryStatus; at: string; error: string; test: boolean } | null;
  /** A secret that the server made: told once, when the destination is. */
  generated?: Record<string, string>;
}

export interface Delivery {
  id: number;
  destination: number;
  destination_name: string;
  kind: Kind;
  notification_id: string | null;
  title: string;
  test: boolean;
  status: DeliveryStatus;
  due_at: string;
  next_attempt_at: string | null;
  attempts: number;
  attempted_at: string | null;
  sent_at: string | null;
  last_error: string;
  response: string;
  created_at: string;
}

export interface ConfigField {
  name: string;
  label: string;
  hint: string;
  placeholder?: string;
  type?: "email" | "password";
  /** It is written and never shown. */
  secret?: boolean;
  optional?: boolean;
}

interface KindSpec {
  label: string;
  about: string;
  fields: ConfigField[];
}

export const SPECS: Record<Kind, KindSpec> = {
  email: {
    label: "Email",
    about: "A letter for each notification.",
    fields: [
      { name: "address", label: "Address", type: "email", placeholder: "you@example.org", hint: "One mailbox." },
    ],
  },
  telegram: {
    label: "Telegram",
    about: "A message from a bot to you, a group or a channel.",
    fields: [
      {
        name: "chat_id",
        label: "Chat",
        placeholder: "-1001234567890 or @channel",
        hint: "A number, or a channel's @name. Write to the bot first, or add it to the group.",
      },
      {
        name: "bot_token",
        label: "Bot token",
        type: "password",
        secret: true,
        optional: true,
        hint: "From @BotFather. Empty: this installation's own bot, if it has one.",
      },
    ],
  },
  ntfy: {
    label: "ntfy",
    about: "A push to the ntfy app on your phone.",
    fields: [
      {
        name: "topic",
        label: "Topic",
        placeholder: "prices-7f3a",
        hint: "Whoever knows it can read along: choose one that nobody guesses.",
      },
      {
        name: "server",
        label: "Server",
        placeholder: "https://ntfy.example.org",
        optional: true,
        hint: "Empty: the one that this installation uses.",
      },
      {
        name: "token",
        label: "Access token",
        type: "password",
        secret: true,
        optional: true,
        hint: "Only for topics that are closed to others.",
      },
    ],
  },
  discord: {
    label: "Discord",
    about: "A message in a channel.",
    fields: [
      {
        name: "url",
        label: "Webhook address",
        secret: true,
        placeholder: "https://discord.com/api/webhooks/…",
        hint: "Channel settings, Integrations, Webhooks, Copy Webhook URL.",
      },
    ],
  },
  slack: {
    label: "Slack",
    about: "A message in a channel.",
    fields: [
      {
        name: "url",
        label: "Webhook address",
        secret: true,
        placeholder: "https://hooks.slack.com/services/…",
        hint: "Your Slack app's page, Incoming Webhooks, Add New Webhook.",
      },
    ],
  },
  webhook: {
    label: "Webhook",
    about: "Signed JSON to a program of your own.",
    fields: [
      {
        name: "url",
        label: "Address",
        secret: true,
        placeholder: "https://example.org/hook",
        hint: "It is called by POST and answers 2xx.",
      },
      {
        name: "secret",
        label: "Secret",
        type: "password",
        secret: true,
        optional: true,
        hint: "Calls are signed with it. Empty: one is made, and shown to you once.",
      },
    ],
  },
  webpush: {
    label: "This browser",
    about: "A notification by the browser, even while no page of ours is open.",
    fields: [],
  },
};

/** What notifications are about. Others may come: a type is any word of small letters. */
export const TYPES: readonly (readonly [type: string, label: string])[] = [
  ["alert", "Alerts"],
  ["signal", "Signals"],
  ["destination", "Trouble with destinations"],
  ["backfill", "Backfills"],
  ["price_update", "Price updates"],
  ["system", "System"],
  ["info", "Messages"],
];

/** The known ones, and whatever else is named already. */
export function typesWith(named: readonly string[]): (readonly [string, string])[] {
  const known = new Set(TYPES.map(([type]) => type));
  return [...TYPES, ...named.filter((type) => !known.has(type)).map((type) => [type, type] as const)];
}

export function typeLabel(type: string): string {
  return TYPES.find(([known]) => known === type)?.[1] ?? type.replaceAll("_", " ");
}

export type Tone = "good" | "warn" | "bad" | "off";

export interface State {
  tone: Tone;
  words: string;
  why: string;
}

/** How a destination is, in words. now: by the server's clock (ms). */
export function stateOf(destination: Destination, now: number): State {
  const { enabled, disabled_reason, paused_until, failures, verified, last_delivery } = destination;
  if (!enabled && disabled_reason !== "") return { tone: "bad", words: "Switched off", why: disabled_reason };
  if (!enabled) return { tone: "off", words: "Off", why: "Nothing is sent there." };
  if (paused_until !== null && Date.parse(paused_until) > now) {
    const until = moment(paused_until, now);
    return {
      tone: "warn",
      words: "Pausing",
      why: `It asked for a pause, or does not answer: it is tried again at ${until}.`,
    };
  }
  if (failures > 0) {
    const given = failures === 1 ? "The last delivery was" : `The last ${failures} deliveries were`;
    return { tone: "warn", words: "Failing", why: `${given} given up.` };
  }
  if (last_delivery?.status === "failed") {
    return {
      tone: "warn",
      words: "Failing",
      why: `The last ${last_delivery.test ? "test" : "delivery"} did not arrive.`,
    };
  }
  if (!verified) return { tone: "warn", words: "Not verified", why: "Nothing has arrived there yet. Send a test." };
  return { tone: "good", words: "Working", why: "" };
}

export const STATUS_WORDS: Record<DeliveryStatus, string> = {
  pending: "Waiting",
  sent: "Delivered",
  failed: "Failed",
  dropped: "Dropped",
};

export const STATUS_TONES: Record<DeliveryStatus, Tone> = {
  pending: "warn",
  sent: "good",
  failed: "bad",
  dropped: "off",
};

/** What came of a test, in the words of whoever answered. */
export function outcomeOf(delivery: Delivery): { tone: Tone; words: string } {
  const answered = delivery.response === "" ? "" : ` It answered “${delivery.response}”.`;
  if (delivery.status === "sent") return { tone: "good", words: `Delivered.${answered}` };
  if (delivery.status === "pending") return { tone: "warn", words: "On its way: no answer yet." };
  return { tone: "bad", words: `Not delivered: ${sentence(delivery.last_error)}${answered}` };
}

function sentence(text: string): string {
  return text === "" ? "no reason given." : /[.!?]$/.test(text) ? text : `${text}.`;
}

/** A destination as its form holds it: everything as it was typed. removed: stored secrets that are to go. */
export interface Draft {
  kind: Kind;
  name: string;
  values: Record<string, string>;
  removed: string[];
  min_priority: Priority;
  types: string[];
}

/** A new one, under a name that is free. */
export function blankDraft(kind: Kind, taken: readonly string[], name = SPECS[kind].label): Draft {
  return { kind, name: freeName(name, taken), values: {}, removed: [], min_priority: "low", types: [] };
}

function freeName(name: string, taken: readonly string[]): string {
  let free = name;
  for (let number = 2; taken.includes(free); number++) free = `${name} ${number}`;
  return free;
}

export function draftOf({ kind, name, config, min_priority, types }: Destination): Draft {
  const shown = SPECS[kind].fields.filter(({ secret }) => !secret);
  const values = Object.fromEntries(shown.map((field) => [field.name, String(config[field.name] ?? "")]));
  return { kind, name, values, removed: [], min_priority, types: [...types] };
}

/** The body that makes it. config: what the browser subscribed to, for web pushes. */
export function createdBody(draft: Draft, config: object = configOf(draft)): Record<string, unknown> {
  const { kind, name, min_priority, types } = draft;
  return { kind, name: name.trim(), config, min_priority, types };
}

function configOf({ kind, values }: Draft): Record<string, string> {
  const given = SPECS[kind].fields.map(({ name }) => [name, (values[name] ?? "").trim()] as const);
  return Object.fromEntries(given.filter(([, value]) => value !== ""));
}

/** The body that changes it: only what is otherwise, for a configuration that is sent has to prove itself anew. */
export function changedBody(before: Destination, draft: Draft): Record<string, unknown> {
  const config = changedConfig(draftOf(before), draft);
  return {
    ...(draft.name.trim() === before.name ? {} : { name: draft.name.trim() }),
    ...(draft.min_priority === before.min_priority ? {} : { min_priority: draft.min_priority }),
    ...(String(draft.types) === String(before.types) ? {} : { types: draft.types }),
    ...(Object.keys(config).length === 0 ? {} : { config }),
  };
}

/** An empty secret stays as it is stored; any other empty field is taken away where it may be. */
function changedConfig(before: Draft, draft: Draft): Record<string, string | null> {
  const changed: Record<string, string | null> = {};
  for (const { name, secret, optional } of SPECS[draft.kind].fields) {
    const value = (draft.values[name] ?? "").trim();
    if (draft.removed.includes(name)) changed[name] = null;
    else if (secret ? value !== "" : value !== before.values[name])
      changed[name] = value === "" && optional ? null : value;
  }
  return changed;
}
