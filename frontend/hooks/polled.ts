/** Something that is read again and again for as long as somebody looks. */

import { useCallback, useEffect, useRef, useState } from "react";

export interface Polled<T> {
  data: T | undefined;
  /** Why the last try failed; undefined once one succeeds. */
  error: Error | undefined;
  /** When `data` was read, by this machine's clock (ms). */
  at: number | null;
  reload: () => void;
}

interface State<T> {
  key: string | null;
  data: T | undefined;
  error: Error | undefined;
  at: number | null;
}

/** A server that is silent for so long does not answer. */
const ANSWER_MS = 10_000;

class NoAnswer extends Error {
  constructor() {
    super("The server does not answer.");
  }
}

/**
 * key: what is read; another key starts anew, null reads nothing. load: reads it, may change between renders.
 * Not in a hidden tab; at once when it is looked at again. One question at a time, however slow the answers.
 */
export function usePolled<T>(
  key: string | null,
  load: (signal: AbortSignal) => Promise<T>,
  everyMs: number,
): Polled<T> {
  const [state, setState] = useState<State<T>>(() => blank(key));
  const [round, setRound] = useState(0);
  const current = useRef(load);
  current.current = load;
  // biome-ignore lint/correctness/useExhaustiveDependencies: another round begins at once
  useEffect(() => {
    if (key === null) return;
    let asking: AbortController | null = null;
    let over = false;
    const ask = async () => {
      if (asking !== null || document.hidden) return;
      asking = new AbortController();
      const answer = await answered(current.current, asking);
      asking = null;
      if (!over) setState((before) => ({ ...(before.key === key ? before : blank<T>(key)), ...answer }));
    };
    void ask();
    const timer = setInterval(ask, everyMs);
    document.addEventListener("visibilitychange", ask);
    return () => {
      over = true;
      asking?.abort();
      clearInterval(timer);
      document.removeEventListener("visibilitychange", ask);
    };
  }, [key, everyMs, round]);

  const reload = useCallback(() => setRound((count) => count + 1), []);
  const { data, error, at } = state.key === key ? state : blank<T>(key);
  return { data, error, at, reload };
}

async function answered<T>(
  load: (signal: AbortSignal) => Promise<T>,
  asking: AbortController,
): Promise<Partial<State<T>>> {
  let silent = false;
  const timer = setTimeout(() => {
    silent = true;
    asking.abort();
  }, ANSWER_MS);
  try {
    return { data: await load(asking.signal), error: undefined, at: Date.now() };
  } catch (error) {
    return { error: silent ? new NoAnswer() : (error as Error) };
  } finally {
    clearTimeout(timer);
  }
}

function blank<T>(key: string | null): State<T> {
  return { key, data: undefined, error: undefined, at: null };
}
