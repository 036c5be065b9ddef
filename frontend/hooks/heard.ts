import { useEffect } from "react";

/** Read anew each time that `heard` grows. */
export function useHeard(heard: number, reload: () => void): void {
  useEffect(() => {
    if (heard > 0) reload();
  }, [heard, reload]);
}
