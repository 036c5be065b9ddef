/** Something read over HTTP: loading, there, or failed with a way to try again. */

import { useCallback, useEffect, useState } from "react";

export interface Resource<T> {
  data: T | undefined;
  error: Error | undefined;
  loading: boolean;
  reload: () => void;
}

interface State<T> {
  key: string | null;
  data: T | undefined;
  error: Error | undefined;
  loading: boolean;
}

/**
 * key: what is read; another key starts anew, null reads nothing. load: reads it, may change between renders.
 * What was read stays on show while the same key is read again.
 */
export function useResource<T>(key: string | null, load: (signal: AbortSignal) => Promise<T>): Resource<T> {
  const [state, setState] = useState<State<T>>(initial(key));
  const [round, setRound] = useState(0);
  const shown = state.key === key ? state : initial<T>(key);

  // `load` closes over what `key` names, so `key` alone says when to read; `round` when to read again.
  // biome-ignore lint/correctness/useExhaustiveDependencies: see above
  useEffect(() => {
    if (key === null) return;
    const abort = new AbortController();
    setState((before) => ({ ...(before.key === key ? before : initial<T>(key)), loading: true, error: undefined }));
    load(abort.signal).then(
      (data) => !abort.signal.aborted && setState({ key, data, error: undefined, loading: false }),
      (error: Error) => !abort.signal.aborted && setState((before) => ({ ...before, key, error, loading: false })),
    );
    return () => abort.abort();
  }, [key, round]);

  const reload = useCallback(() => setRound((count) => count + 1), []);
  return { data: shown.data, error: shown.error, loading: shown.loading, reload };
}

function initial<T>(key: string | null): State<T> {
  return { key, data: undefined, error: undefined, loading: key !== null };
}
