/** How the page asks the server: JSON in, JSON out, and refusals by the fields that they are about. */

export interface Page<T> {
  results: T[];
  next: string | null;
}

/** What was refused, by place: `{"config.url": "Only https:// is called.", "condition.all.0.clear": "Lies …"}`. */
export type Refusals = Record<string, string>;

/** The server answered, but not with what was asked for. refusals: what it said of single fields; often none. */
export class HttpError extends Error {
  readonly status: number;
  readonly refusals: Refusals;

  constructor(status: number, body: unknown = null) {
    const refusals = refusalsOf(body);
    super(httpSentence(status, Object.values(refusals).join(" ")));
    this.status = status;
    this.refusals = refusals;
  }
}

function httpSentence(status: number, said: string): string {
  if (status === 401 || status === 403) return "Your session has ended. Sign in again.";
  if (status === 404) return "The server does not know this.";
  if (said !== "" && status < 500) return said;
  return status === 400 ? "The server refused this." : `The server could not answer (${status}).`;
}

/** What is said at the foot of a form. shown: the places whose refusals stand at a field already. Pure. */
export function restOf(error: string, refusals: Refusals, shown: ReadonlySet<string>): string {
  const places = Object.keys(refusals);
  // `detail` is what the error says itself.
  const rest = places.filter((place) => !shown.has(place) && place !== "detail").map((place) => refusals[place]);
  if (!places.some((place) => shown.has(place))) return rest.length === 0 ? error : rest.join(" ");
  return ["Not saved: see what is marked above.", ...rest].join(" ");
}

/** An answer's errors, flattened. A sentence that begins with its own place, as conditions' do, goes there. Pure. */
export function refusalsOf(body: unknown, place = ""): Refusals {
  if (typeof body === "string") return placed(place, body);
  if (typeof body !== "object" || body === null) return {};
  if (Array.isArray(body) && body.every((item) => typeof item === "string")) {
    return body.length === 0 ? {} : placed(place, body.join(" "));
  }
  return Object.assign({}, ...Object.entries(body).map(([name, value]) => refusalsOf(value, join(place, name))));
}

function join(place: string, name: string): string {
  return place === "" || name === "non_field_errors" ? place || name : `${place}.${name}`;
}

function placed(place: string, sentence: string): Refusals {
  const [, own, rest] = /^([a-z_]+(?:\.[a-z_]+|\[\d+\])*): (.+)$/s.exec(sentence) ?? [];
  if (own === undefined || rest === undefined || !own.startsWith(place)) return { [place]: sentence };
  return { [own.replace(/\[(\d+)\]/g, ".$1")]: rest };
}

async function answered(response: Response): Promise<Response> {
  if (response.ok) return response;
  throw new HttpError(response.status, await response.json().catch(() => null));
}

export async function get<T>(url: string, signal?: AbortSignal): Promise<T> {
  const response = await fetch(url, { headers: { Accept: "application/json" }, ...(signal ? { signal } : {}) });
  return (await (await answered(response)).json()) as T;
}

// A list that never ends would keep the page loading for ever: so many pages are enough for a person.
const PAGES_MAX = 20;

export async function getAll<T>(url: string, signal: AbortSignal): Promise<T[]> {
  const results: T[] = [];
  let next: string | null = url;
  for (let page = 0; next !== null && page < PAGES_MAX; page++) {
    const answer: Page<T> = await get<Page<T>>(next, signal);
    results.push(...answer.results);
    next = answer.next === null ? null : samePath(answer.next);
  }
  return results;
}

/** Behind a proxy the absolute address may name another host: only its path and query count. */
export function samePath(url: string): string {
  const { pathname, search } = new URL(url, location.origin);
  return pathname + search;
}

export type Method = "POST" | "PUT" | "PATCH" | "DELETE";

/** Change something. Raises HttpError; TypeError where the server can't be reached. */
async function change(csrfToken: string, method: Method, url: string, body: unknown, accept: string) {
  const headers: Record<string, string> = { Accept: accept, "X-CSRFToken": csrfToken };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const response = await fetch(url, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
  return answered(response);
}

/** `send("PATCH", "/api/alerts/7/", {enabled: false})`: what the server answers, undefined where it says nothing. */
export type Send = <T = undefined>(method: Method, url: string, body?: unknown) => Promise<T>;

export function sender(csrfToken: string): Send {
  return async <T>(method: Method, url: string, body?: unknown) => {
    const response = await change(csrfToken, method, url, body, "application/json");
    return (response.status === 204 ? undefined : await response.json()) as T;
  };
}

/** The same, answered by a picture. */
export async function sendForPicture(csrfToken: string, url: string, body: unknown): Promise<Blob> {
  return (await change(csrfToken, "POST", url, body, "image/svg+xml, application/json")).blob();
}

/** In words for people, whatever went wrong. */
export function sentenceOf(error: unknown): string {
  if (error instanceof TypeError) return "The server can't be reached.";
  return error instanceof Error ? error.message : String(error);
}
