import { useCallback, useEffect, useState } from "react";

/** What the address asks for behind its `?`, followed by the browser's way back and forth. */
export function useQuery(): [URLSearchParams, (query: Record<string, string>) => void] {
  const [search, setSearch] = useState(location.search);
  useEffect(() => {
    const went = () => setSearch(location.search);
    addEventListener("popstate", went);
    return () => removeEventListener("popstate", went);
  }, []);
  const go = useCallback((query: Record<string, string>) => {
    const text = new URLSearchParams(query).toString();
    history.pushState(null, "", text === "" ? location.pathname : `?${text}`);
    setSearch(location.search);
  }, []);
  return [new URLSearchParams(search), go];
}
