import { useCallback, useEffect, useMemo, useState } from "react";
import { type Filter, getOlderSignals, getSignals, matches, merged, query, type Signal } from "../signals";
import { useAction } from "./action";
import { useServerNow } from "./clock";
import { useEvents } from "./realtime";
import { useResource } from "./resource";

const FRESH_MAX = 200;
// So soon a list shows what has expired.
const REFRESH_MS = 5_000;

/**
 * The signals that the filter lets through, newest first: a page of those that were, and what comes in from now on.
 * list: all that were read or heard of, `shown` or not. fresh: the ids of those that came in while somebody looked.
 */
export function useSignals(filter: Filter) {
  const key = `signals?${query(filter)}`;
  const page = useResource(key, (signal) => getSignals(filter, signal));
  const [list, setList] = useState<Signal[]>([]);
  const [next, setNext] = useState<string | null>(null);
  const [fresh, setFresh] = useState<ReadonlySet<string>>(new Set());
  const older = useAction();
  const now = useServerNow(REFRESH_MS);

  // biome-ignore lint/correctness/useExhaustiveDependencies: another question is another list
  useEffect(() => {
    setList([]);
    setNext(null);
  }, [key]);
  useEffect(() => {
    if (page.data === undefined) return;
    const { results, next } = page.data;
    setNext(next);
    // What was heard meanwhile is newer than the answer.
    setList((before) => before.reduceRight((all, each) => merged(all, each, false), results));
  }, [page.data]);

  const heard = {
    event: ({ type, data, timestamp, position }: SignalEvent) => {
      const signal = { ...data, time: data.time ?? timestamp };
      setList((before) => merged(before, signal, position !== undefined));
      if (position === undefined || type !== "signal") return;
      setFresh((before) => new Set([...before, signal.signal_id].slice(-FRESH_MAX)));
    },
    reset: page.reload,
  };
  useEvents<Signal>("signals", heard);
  useEvents<Signal>("own-signals", heard);

  const { run } = older;
  const more = useCallback(async () => {
    if (next === null) return;
    const answer = await run(() => getOlderSignals(next));
    if (answer === undefined) return;
    setNext(answer.next);
    setList((before) => {
      const ids = new Set(before.map(({ signal_id }) => signal_id));
      return [...before, ...answer.results.filter(({ signal_id }) => !ids.has(signal_id))];
    });
  }, [next, run]);

  const shown = useMemo(() => list.filter((each) => matches(each, filter, now)), [list, filter, now]);
  return { page, list, shown, fresh, now, next, more, older };
}

interface SignalEvent {
  type: string;
  data: Signal;
  timestamp: string;
  position?: object;
}
