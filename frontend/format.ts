/** Numbers and times for people. Pure, but for the reader's locale. An unknown value is a dash, never a zero. */

export const UNKNOWN = "–";
const MINUS = "−";

/** Decimals that suit a price's size: 64,231.50 – 1.08452 – 0.000012346. */
export function priceDecimals(price: number): number {
  const size = Math.abs(price);
  if (size >= 10 || size === 0) return 2;
  if (size >= 0.1) return 5;
  return Math.min(12, 4 - Math.floor(Math.log10(size)));
}

function plain(value: number, decimals: number, minimum = decimals): string {
  const text = Math.abs(value).toLocaleString("en-US", {
    minimumFractionDigits: minimum,
    maximumFractionDigits: decimals,
  });
  // What rounds to zero has no sign.
  return value < 0 && /[1-9]/.test(text) ? MINUS + text : text;
}

type Maybe = number | null | undefined;

export function price(value: Maybe, decimals?: number): string {
  return value == null ? UNKNOWN : plain(value, decimals ?? priceDecimals(value));
}

export function money(value: Maybe): string {
  return value == null ? UNKNOWN : plain(value, 2);
}

export function signed(value: Maybe, decimals = 2): string {
  if (value == null) return UNKNOWN;
  const text = plain(value, decimals);
  return value > 0 && /[1-9]/.test(text) ? `+${text}` : text;
}

export function percent(value: Maybe): string {
  return value == null ? UNKNOWN : `${signed(value)}%`;
}

/** Up to eight decimals, none where there are none: 10,000 – 0.42 – 0.00000001. */
export function quantity(value: number | string): string {
  return plain(Number(value), 8, 0);
}

/** Trade sizes in a column: the same number of decimals down the column reads best. */
export function size(value: number): string {
  return value >= 1000 ? plain(value, 0) : plain(value, value >= 1 ? 2 : 4);
}

export type Direction = "up" | "down" | "flat";

export function direction(value: Maybe): Direction {
  if (value == null || value === 0) return "flat";
  return value > 0 ? "up" : "down";
}

export const ARROWS: Record<Direction, string> = { up: "▲", down: "▼", flat: "" };

/** "now", "12 s", "5 min", "3 h", "2 d". */
export function age(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  if (seconds < 1) return "now";
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** "just now", "12 s ago". */
export function ago(milliseconds: number): string {
  const text = age(milliseconds);
  return text === "now" ? "just now" : `${text} ago`;
}

export function clock(iso: string): string {
  return new Date(iso).toLocaleTimeString("en-GB");
}

/** "14:02:11" today, "21 Nov, 14:02" on any other day. */
export function moment(iso: string, now = Date.now()): string {
  const at = new Date(iso);
  if (at.toDateString() === new Date(now).toDateString()) return clock(iso);
  return at.toLocaleString("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
}
