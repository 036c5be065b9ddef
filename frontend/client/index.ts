export { type Backoff, delayMs } from "./backoff";
export { Bounded } from "./buffer";
export { type Listener, RealtimeClient, type Refusal } from "./client";
export type { Metrics } from "./meter";
export { type PlainOptions, PlainSocket } from "./plain";
export { CONNECTION_LIMIT, type Position, SIGN_IN_NEEDED, type TopicEvent } from "./protocol";
export { DEFAULTS, type Effect, type Options, type Priority, Session, type Status } from "./session";
export {
  getMarketDataStream,
  MarketDataStream,
  type MarketUpdate,
  type StreamMetrics,
  type StreamOptions,
} from "./stream";
