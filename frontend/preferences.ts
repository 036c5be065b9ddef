/** When a user wants to be told, as the server keeps it and as its form holds it. Pure. */

import type { Priority } from "./api";

export const DAYS = [
  ["mon", "Mon"],
  ["tue", "Tue"],
  ["wed", "Wed"],
  ["thu", "Thu"],
  ["fri", "Fri"],
  ["sat", "Sat"],
  ["sun", "Sun"],
] as const;
export type Day = (typeof DAYS)[number][0];

export interface Preferences {
  time_zone: string;
  quiet_hours: { days?: Day[]; start: string; end: string }[];
  critical_breaks_through: boolean;
  digests: { types: string[]; up_to: Priority; every_minutes?: number; at?: string[] }[];
  minimum_priority: Record<string, Priority>;
  muted_types: string[];
  storm_max: number | null;
  storm_type_max: number | null;
  storm_minutes: number | null;
  quiet_until: string | null;
}

/** key: of the row on the page, never used again. days: none chosen stands for every day. */
export interface QuietDraft {
  key: number;
  days: Day[];
  allDay: boolean;
  start: string;
  end: string;
}

export interface DigestDraft {
  key: number;
  types: string[];
  up_to: Priority;
  how: "every" | "at";
  minutes: string;
  times: string;
}

/** What of a type is delivered; "": as of the others. */
export type Level = "" | Priority | "muted";

export interface PreferencesDraft {
  time_zone: string;
  quiet: QuietDraft[];
  critical_breaks_through: boolean;
  digests: DigestDraft[];
  /** By type; `*`: all that are not named. */
  levels: Record<string, Level>;
  storm_max: string;
  storm_type_max: string;
  storm_minutes: string;
}

export const OTHERS = "*";
const MIDNIGHT = "00:00";
const DAY_END = "24:00";

export function draftOf(kept: Preferences): PreferencesDraft {
  const muted = kept.muted_types.map((type) => [type, "muted" as const]);
  return {
    time_zone: kept.time_zone,
    quiet: kept.quiet_hours.map(quietDraft),
    critical_breaks_through: kept.critical_breaks_through,
    digests: kept.digests.map(digestDraft),
    levels: { [OTHERS]: "low", ...kept.minimum_priority, ...Object.fromEntries(muted) },
    storm_max: numberText(kept.storm_max),
    storm_type_max: numberText(kept.storm_type_max),
    storm_minutes: numberText(kept.storm_minutes),
  };
}

/** A day's end is the next one's midnight: a clock's field has no 24:00. */
function quietDraft({ days, start, end }: Preferences["quiet_hours"][number], key: number): QuietDraft {
  const allDay = start === MIDNIGHT && end === DAY_END;
  return { key, days: days ?? [], allDay, start, end: end === DAY_END ? MIDNIGHT : end };
}

function digestDraft(rule: Preferences["digests"][number], key: number): DigestDraft {
  const { types, up_to, every_minutes, at } = rule;
  const how = at === undefined ? "every" : "at";
  return { key, types, up_to, how, minutes: numberText(every_minutes ?? 60), times: (at ?? []).join(", ") };
}

function numberText(value: number | null): string {
  return value === null ? "" : String(value);
}

export function blankQuiet(key: number): QuietDraft {
  return { key, days: [], allDay: false, start: "22:00", end: "07:00" };
}

export function blankDigest(key: number): DigestDraft {
  return { key, types: [], up_to: "normal", how: "every", minutes: "60", times: "08:00, 18:00" };
}

type Body = Record<keyof Omit<Preferences, "quiet_until">, unknown>;

/** All of it, as the server takes it. What isn't a number goes as it is, for the server to refuse by name. */
export function bodyOf(draft: PreferencesDraft): Body {
  const levels = Object.entries(draft.levels);
  return {
    time_zone: draft.time_zone.trim(),
    quiet_hours: draft.quiet.map(quietBody),
    critical_breaks_through: draft.critical_breaks_through,
    digests: draft.digests.map(digestBody),
    minimum_priority: Object.fromEntries(levels.filter((entry) => isMinimum(...entry))),
    muted_types: levels.filter(([, level]) => level === "muted").map(([type]) => type),
    storm_max: numberOf(draft.storm_max),
    storm_type_max: numberOf(draft.storm_type_max),
    storm_minutes: numberOf(draft.storm_minutes),
  };
}

/** Everything of all others is what goes without saying. */
function isMinimum(type: string, level: Level): boolean {
  return level !== "" && level !== "muted" && !(type === OTHERS && level === "low");
}

function quietBody({ days, allDay, start, end }: QuietDraft) {
  const some = days.length === 0 || days.length === DAYS.length ? {} : { days };
  return { ...some, start: allDay ? MIDNIGHT : start, end: allDay ? DAY_END : end };
}

function digestBody({ types, up_to, how, minutes, times }: DigestDraft) {
  const when = how === "every" ? { every_minutes: numberOf(minutes) ?? "" } : { at: timesOf(times) };
  return { types, up_to, ...when };
}

/** "8:00, 18:00" as 08:00 and 18:00. */
function timesOf(text: string): string[] {
  const parts = text.split(/[\s,;]+/).filter((part) => part !== "");
  return parts.map((part) => (/^\d:\d\d$/.test(part) ? `0${part}` : part));
}

function numberOf(text: string): number | string | null {
  const typed = text.trim();
  if (typed === "") return null;
  return Number.isFinite(Number(typed)) ? Number(typed) : typed;
}

/** Only what was changed: another tab may have saved the rest meanwhile. */
export function changes(kept: Preferences, draft: PreferencesDraft): Partial<Body> {
  const before = bodyOf(draftOf(kept));
  const changed = Object.entries(bodyOf(draft)).filter(
    ([name, value]) => JSON.stringify(value) !== JSON.stringify(before[name as keyof Body]),
  );
  return Object.fromEntries(changed);
}
