/** What a connection has carried, counted. Pure: the time is given. */

export interface Metrics {
  connected: boolean;
  /** By polling, since sockets do not get through. */
  polling: boolean;
  messages: number;
  bytes: number;
  /** Over the last five seconds. */
  messagesPerSecond: number;
  reconnects: number;
  /** Conflated updates that the server did not send, as it told. */
  dropped: number;
  subscriptions: number;
  latencyMs: number | null;
}

const WINDOW_MS = 5000;

export class Meter {
  messages = 0;
  bytes = 0;
  reconnects = 0;
  dropped = 0;
  /** By second, the newest few. */
  private readonly seconds = new Map<number, number>();

  took(bytes: number, now: number): void {
    this.messages += 1;
    this.bytes += bytes;
    const second = Math.floor(now / 1000);
    this.seconds.set(second, (this.seconds.get(second) ?? 0) + 1);
    for (const old of this.seconds.keys()) if (old < second - WINDOW_MS / 1000) this.seconds.delete(old);
  }

  rate(now: number): number {
    const from = Math.floor((now - WINDOW_MS) / 1000);
    const recent = [...this.seconds].filter(([second]) => second > from);
    return recent.reduce((sum, [, count]) => sum + count, 0) / (WINDOW_MS / 1000);
  }
}
