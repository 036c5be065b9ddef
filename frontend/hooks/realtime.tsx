/** The connection in React's terms. */

import { createContext, type ReactNode, useCallback, useContext, useEffect, useRef, useSyncExternalStore } from "react";
import type { Listener, RealtimeClient, Status, TopicEvent } from "../client";

const ClientContext = createContext<RealtimeClient | null>(null);

/** client: null on a page that may not connect; every hook then simply has nothing to tell. */
export function RealtimeProvider({ client, children }: { client: RealtimeClient | null; children: ReactNode }) {
  return <ClientContext.Provider value={client}>{children}</ClientContext.Provider>;
}

export function useClient(): RealtimeClient | null {
  return useContext(ClientContext);
}

const IDLE: Status = { phase: "connecting" };
const nothing = () => {};

export function useConnection(): Status {
  const client = useClient();
  const subscribe = useCallback((changed: () => void) => client?.onStatus(changed) ?? nothing, [client]);
  return useSyncExternalStore(subscribe, () => client?.status ?? IDLE);
}

/** How many connections there have been; a change means that something may have been missed. 0 before the first. */
export function useGeneration(): number {
  const status = useConnection();
  const generation = useRef(0);
  if (status.phase === "live") generation.current = status.generation;
  return generation.current;
}

/** The newest data of a conflated topic; undefined until the first arrives. A null topic follows nothing. */
export function useTopic<T>(topic: string | null): T | undefined {
  const client = useClient();
  const subscribe = useCallback(
    (changed: () => void) =>
      topic === null || client === null ? nothing : client.subscribe(topic, { event: changed, reset: changed }),
    [client, topic],
  );
  const event = useSyncExternalStore(subscribe, () => (topic === null ? undefined : client?.latest<T>(topic)));
  return event?.data;
}

/** Each event of a topic, in order. The handlers may change between renders without subscribing anew. */
export function useEvents<T>(topic: string | null, handlers: Listener<T>): void {
  const client = useClient();
  const current = useRef(handlers);
  current.current = handlers;
  useEffect(() => {
    if (topic === null || client === null) return;
    return client.subscribe<T>(topic, {
      event: (event: TopicEvent<T>) => current.current.event(event),
      reset: () => current.current.reset?.(),
    });
  }, [client, topic]);
}
