import { useCallback, useEffect, useRef, useState } from "react";
import { add, closeMeaning, EMPTY, type Log, type Said } from "./log";

/** How the console signs its socket in. */
export interface Sign {
  kind: "cookie" | "ticket" | "token";
  token?: string;
}

type State = "closed" | "opening" | "open";

// Frames are shown so often: a page need not draw a thousand times a second.
const DRAW_EVERY_MS = 100;

/** One bare socket and the log of what went over it. */
export function useSocket(csrfToken: string) {
  const [state, setState] = useState<State>("closed");
  const [said, setSaid] = useState("Not connected");
  const [log, setLog] = useState<Log>(EMPTY);
  const [paused, setPaused] = useState(false);
  const socket = useRef<WebSocket | null>(null);
  const waiting = useRef<Said[]>([]);
  const note = useCallback((direction: Said["direction"], text: string) => {
    waiting.current.push({ at: Date.now(), direction, text });
  }, []);

  useEffect(() => {
    const timer = setInterval(() => {
      if (waiting.current.length === 0) return;
      const fresh = waiting.current.splice(0);
      setLog((before) => add(before, fresh, !paused));
    }, DRAW_EVERY_MS);
    return () => clearInterval(timer);
  }, [paused]);
  useEffect(() => () => socket.current?.close(), []);

  const open = useCallback(
    async (path: string, sign: Sign) => {
      setState("opening");
      setSaid("Connecting …");
      try {
        const next = await dial(path, sign, csrfToken);
        socket.current = next;
        next.onopen = () => {
          setState("open");
          setSaid("Connected");
          note("note", `connected to ${path}`);
        };
        next.onmessage = ({ data }) => note("in", String(data));
        next.onclose = ({ code, reason }) => {
          const why = [String(code), closeMeaning(code), reason].filter(Boolean).join(" · ");
          setState("closed");
          setSaid(`Closed: ${why}`);
          note("note", `closed: ${why}`);
        };
      } catch (error) {
        setState("closed");
        setSaid(error instanceof Error ? error.message : String(error));
      }
    },
    [csrfToken, note],
  );
  const close = useCallback(() => socket.current?.close(1000), []);
  const send = useCallback(
    (text: string) => {
      socket.current?.send(text);
      note("out", text);
    },
    [note],
  );
  const pause = useCallback(() => setPaused((before) => !before), []);
  const clear = useCallback(() => setLog(EMPTY), []);
  return { state, said, log, paused, open, close, send, pause, clear };
}

async function dial(path: string, sign: Sign, csrfToken: string): Promise<WebSocket> {
  const url = new URL(path, location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  if (sign.kind === "ticket") url.searchParams.set("ticket", await ticket(csrfToken));
  return sign.kind === "token" ? new WebSocket(url, ["bearer", (sign.token ?? "").trim()]) : new WebSocket(url);
}

async function ticket(csrfToken: string): Promise<string> {
  const answer = await fetch("/api/realtime/ticket/", { method: "POST", headers: { "X-CSRFToken": csrfToken } });
  if (!answer.ok) throw new Error(`No ticket: the server answered ${answer.status}`);
  return ((await answer.json()) as { ticket: string }).ticket;
}
