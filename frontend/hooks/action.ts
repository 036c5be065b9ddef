import { useCallback, useRef, useState } from "react";
import { HttpError, type Refusals, sentenceOf } from "../http";

/**
 * One thing at a time that may go wrong: whether it is under way, what was said against it, and of which fields.
 * run: does it; the result, or undefined where it failed or another is under way.
 */
export function useAction() {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const [refusals, setRefusals] = useState<Refusals>({});
  const running = useRef(false);
  const clear = useCallback(() => {
    setError(null);
    setRefusals({});
  }, []);
  const run = useCallback(
    async <T>(act: () => Promise<T>): Promise<T | undefined> => {
      if (running.current) return undefined;
      running.current = true;
      setBusy(true);
      clear();
      try {
        return await act();
      } catch (thrown) {
        const said = thrown instanceof HttpError ? thrown.refusals : {};
        setRefusals(said);
        setError(sentenceOf(thrown));
        return undefined;
      } finally {
        running.current = false;
        setBusy(false);
      }
    },
    [clear],
  );
  return { busy, error, refusals, run, clear };
}
