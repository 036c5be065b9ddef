import { useCallback, useEffect, useState } from "react";
import { get } from "../http";
import * as webpush from "../webpush";

/** This browser's own destination, if it is one, and how it becomes one. id: null where it is told nothing. */
export function useThisBrowser() {
  const [id, setId] = useState<number | null>(null);
  useEffect(() => {
    let over = false;
    // Where the browser tells nothing of itself, it is none of the destinations.
    webpush
      .currentEndpoint()
      .then(known)
      .then(
        (mine) => !over && setId(mine),
        () => {},
      );
    return () => {
      over = true;
    };
  }, []);

  /** Subscribe, have the server told by `save`, and remember what it made of it. */
  const subscribe = useCallback(async <T extends { id: number }>(save: (config: object) => Promise<T>): Promise<T> => {
    const config = await webpush.subscribe(serverKey);
    const made = await save(config);
    webpush.keep({ id: made.id, endpoint: config.endpoint ?? "" });
    setId(made.id);
    return made;
  }, []);

  const unsubscribe = useCallback(async () => {
    setId(null);
    await webpush.unsubscribe();
  }, []);
  return { id, subscribe, unsubscribe };
}

export type ThisBrowser = ReturnType<typeof useThisBrowser>;

async function serverKey(): Promise<string> {
  return (await get<{ public_key: string }>("/api/destinations/webpush-key/")).public_key;
}

/** What it remembers holds for as long as the subscription that it was made with. */
function known(endpoint: string | null): number | null {
  const kept = webpush.kept();
  return kept !== null && kept.endpoint === endpoint ? kept.id : null;
}
