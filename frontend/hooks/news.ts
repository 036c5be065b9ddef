import { useCallback, useEffect, useState } from "react";
import { type Article, getNews, getOlderNews, joined } from "../news";
import { useAction } from "./action";
import { useEvents } from "./realtime";
import { useResource } from "./resource";

/** The news, newest first, about an instrument or ("") about anything; new stories come in by themselves. */
export function useNews(symbol: string) {
  const page = useResource(`news:${symbol}`, (signal) => getNews(symbol, signal));
  const [list, setList] = useState<Article[]>([]);
  const [next, setNext] = useState<string | null>(null);
  const older = useAction();
  // biome-ignore lint/correctness/useExhaustiveDependencies: another question is another list
  useEffect(() => {
    setList([]);
    setNext(null);
  }, [symbol]);
  useEffect(() => {
    if (page.data === undefined) return;
    const { results } = page.data;
    setNext(page.data.next);
    // What was heard meanwhile is newer than the answer.
    setList((before) => joined(results, before));
  }, [page.data]);
  useEvents<Article>("news", {
    event: ({ data }) => {
      if (symbol === "" || data.symbols.includes(symbol)) setList((before) => joined(before, [data]));
    },
    reset: page.reload,
  });

  const { run } = older;
  const more = useCallback(async () => {
    if (next === null) return;
    const answer = await run(() => getOlderNews(next));
    if (answer === undefined) return;
    setNext(answer.next);
    setList((before) => joined(answer.results, before));
  }, [next, run]);
  return { page, list, next, more, older };
}
