/** Any of the socket paths, kept up: comes back with jittered backoff, keeps what is said while there is no connection. */

import { type Backoff, delayMs } from "./backoff";
import { Bounded } from "./buffer";
import { isFinal } from "./protocol";

export interface PlainOptions {
  onMessage?: (message: unknown) => void;
  onOpen?: () => void;
  onClose?: (code: number, reason: string) => void;
  backoff?: Backoff;
  queueMax?: number;
  protocols?: string[];
}

const BACKOFF: Backoff = { baseMs: 500, capMs: 20_000 };
const QUEUE_MAX = 1000;
const SETTLED_MS = 5000;

export class PlainSocket {
  isConnected = false;
  private socket: WebSocket | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private attempt = 0;
  private openedAt = 0;
  private readonly waiting: Bounded<string>;
  private readonly url: string;
  private readonly options: PlainOptions;

  constructor(url: string, options: PlainOptions = {}) {
    this.url = url;
    this.options = options;
    this.waiting = new Bounded(options.queueMax ?? QUEUE_MAX);
  }

  connect(): void {
    this.abandon();
    const socket = new WebSocket(this.url, this.options.protocols);
    this.socket = socket;
    socket.onopen = () => this.opened();
    socket.onmessage = ({ data }) => this.options.onMessage?.(parsed(String(data)));
    socket.onclose = ({ code, reason }) => this.closed(code, reason);
  }

  /** Sent now, or with the next connection. Anything but text is sent as JSON. */
  send(message: unknown): void {
    const text = typeof message === "string" ? message : JSON.stringify(message);
    if (this.isConnected) this.socket?.send(text);
    else this.waiting.push(text);
  }

  /** For good; `connect` begins anew. */
  close(): void {
    this.abandon();
    this.isConnected = false;
  }

  private opened(): void {
    this.isConnected = true;
    this.openedAt = Date.now();
    for (const text of this.waiting.take()) this.socket?.send(text);
    this.options.onOpen?.();
  }

  private closed(code: number, reason: string): void {
    if (this.isConnected && Date.now() - this.openedAt >= SETTLED_MS) this.attempt = 0;
    this.isConnected = false;
    this.socket = null;
    this.options.onClose?.(code, reason);
    if (isFinal(code)) return;
    this.timer = setTimeout(
      () => this.connect(),
      delayMs(this.attempt++, Math.random(), this.options.backoff ?? BACKOFF),
    );
  }

  private abandon(): void {
    clearTimeout(this.timer);
    if (this.socket === null) return;
    this.socket.onopen = this.socket.onmessage = this.socket.onclose = null;
    this.socket.close();
    this.socket = null;
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
