import { useCallback, useEffect, useState } from "react";
import { INTERVALS, type Interval } from "../api";

export interface Choice {
  symbol: string | null;
  interval: Interval;
}

/** What is looked at, kept in the address so that a reload or a sent link shows the same. */
export function useChoice(): [Choice, (change: Partial<Choice>) => void] {
  const [choice, setChoice] = useState<Choice>(() => read(new URLSearchParams(location.search)));
  const choose = useCallback((change: Partial<Choice>) => setChoice((before) => ({ ...before, ...change })), []);
  useEffect(() => {
    if (choice.symbol !== null) history.replaceState(null, "", `?${write(choice.symbol, choice.interval)}`);
  }, [choice]);
  return [choice, choose];
}

function read(query: URLSearchParams): Choice {
  const interval = INTERVALS.find((known) => known === query.get("interval"));
  return { symbol: query.get("symbol"), interval: interval ?? "1m" };
}

function write(symbol: string, interval: Interval): URLSearchParams {
  return new URLSearchParams({ symbol, interval });
}
