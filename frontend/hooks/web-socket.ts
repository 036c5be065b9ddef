import { useCallback, useEffect, useRef, useState } from "react";
import { PlainSocket } from "../client/plain";

interface Options<T> {
  /** Of any socket path; null connects to nothing. */
  url: string | null;
  onMessage?: (message: T) => void;
  onOpen?: () => void;
}

/** One socket of any path, kept up while the component is there. The handlers may change without a new connection. */
export function useWebSocket<T = unknown>({ url, onMessage, onOpen }: Options<T>) {
  const [isConnected, setConnected] = useState(false);
  const [lastMessage, setLastMessage] = useState<T | null>(null);
  const socket = useRef<PlainSocket | null>(null);
  const handlers = useRef({ onMessage, onOpen });
  handlers.current = { onMessage, onOpen };

  useEffect(() => {
    if (url === null) return;
    const own = new PlainSocket(url, {
      onMessage: (message) => {
        setLastMessage(message as T);
        handlers.current.onMessage?.(message as T);
      },
      onOpen: () => {
        setConnected(true);
        handlers.current.onOpen?.();
      },
      onClose: () => setConnected(false),
    });
    socket.current = own;
    own.connect();
    return () => {
      own.close();
      socket.current = null;
      setConnected(false);
    };
  }, [url]);

  const sendMessage = useCallback((message: unknown) => socket.current?.send(message), []);
  const reconnect = useCallback(() => socket.current?.connect(), []);
  return { isConnected, sendMessage, lastMessage, reconnect };
}
