/** The time, as far as a page shows it. */

import { useEffect, useState } from "react";
import { useConnection } from "./realtime";

/** Now, anew each `everyMs` (milliseconds since 1970, by this machine's clock). */
export function useNow(everyMs: number): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

/** Now by the server's clock: a browser whose clock is wrong must not call fresh prices stale. */
export function useServerNow(everyMs: number): number {
  const status = useConnection();
  return useNow(everyMs) + (status.phase === "live" ? status.clockOffsetMs : 0);
}
