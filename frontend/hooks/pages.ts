import { useCallback, useRef } from "react";
import { get, type Page } from "../http";
import { usePolled } from "./polled";

const STEP = 30;
// What one call may ask for; who wants more filters, or asks the API.
const ROWS_MAX = 1000;

/**
 * A list, newest first, as far as somebody has asked for it. url: with or without a query; another one starts anew.
 * It is read anew, all that is on show, each `everyMs`; `older` shows more of it.
 */
export function usePages<T>(url: string, everyMs: number) {
  const wanted = useRef({ url, rows: STEP });
  if (wanted.current.url !== url) wanted.current = { url, rows: STEP };
  const page = usePolled(url, (signal) => get<Page<T>>(limited(url, wanted.current.rows), signal), everyMs);
  const { reload } = page;
  const older = useCallback(() => {
    wanted.current.rows = Math.min(ROWS_MAX, wanted.current.rows + STEP);
    reload();
  }, [reload]);
  const more = page.data !== undefined && page.data.next !== null && wanted.current.rows < ROWS_MAX;
  return { rows: page.data?.results, error: page.error, reload, more, older };
}

function limited(url: string, rows: number): string {
  return `${url}${url.includes("?") ? "&" : "?"}limit=${rows}`;
}
