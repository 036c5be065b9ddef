import { useEffect, useState } from "react";
import { useClient } from "./realtime";

/** Whether the browser says that there is a network. When it comes back, the next try is made at once. */
export function useOnline(): boolean {
  const client = useClient();
  const [online, setOnline] = useState(navigator.onLine);
  useEffect(() => {
    const changed = () => {
      setOnline(navigator.onLine);
      if (navigator.onLine) client?.retry();
    };
    addEventListener("online", changed);
    addEventListener("offline", changed);
    return () => {
      removeEventListener("online", changed);
      removeEventListener("offline", changed);
    };
  }, [client]);
  return online;
}
