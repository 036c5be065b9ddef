export { type Backoff, delayMs } from "./backoff";
export { type Listener, RealtimeClient, type Refusal } from "./client";
export { CONNECTION_LIMIT, type Position, SIGN_IN_NEEDED, type TopicEvent } from "./protocol";
export { DEFAULTS, type Effect, type Options, Session, type Status } from "./session";
