import { CONNECTION_LIMIT, SIGN_IN_NEEDED, type Status } from "../client";
import { useNow } from "../hooks/clock";
import { useOnline } from "../hooks/network";
import { useClient, useConnection } from "../hooks/realtime";

type Tone = "good" | "busy" | "bad";

/** What to say of a connection. Pure. */
export function describe(status: Status, online: boolean, now: number): { tone: Tone; words: string } {
  if (status.phase === "live") return { tone: "good", words: "Live" };
  if (status.phase === "refused") return { tone: "bad", words: refusalWords(status.code) };
  if (!online) return { tone: "bad", words: "Offline" };
  if (status.phase === "connecting") return { tone: "busy", words: "Connecting" };
  const seconds = Math.max(0, Math.ceil((status.retryAt - now) / 1000));
  return { tone: "busy", words: seconds === 0 ? "Reconnecting" : `Reconnecting in ${seconds} s` };
}

function refusalWords(code: number): string {
  if (code === SIGN_IN_NEEDED) return "Signed out";
  if (code === CONNECTION_LIMIT) return "Too many windows open";
  return "Disconnected";
}

export function Connection() {
  const client = useClient();
  const status = useConnection();
  const online = useOnline();
  const now = useNow(500);
  const { tone, words } = describe(status, online, now);
  const waiting = status.phase === "waiting" || status.phase === "refused";
  return (
    <div className="connection" data-phase={status.phase}>
      <span className={`connection-state ${tone}`}>
        <span className="dot" aria-hidden="true" />
        {words}
      </span>
      {status.phase === "live" && status.latencyMs !== null && (
        <span className="latency" title="Round trip to the server">
          {status.latencyMs} ms
        </span>
      )}
      {waiting && (
        <button type="button" className="link" onClick={() => client?.retry()}>
          Try now
        </button>
      )}
      {/* The countdown would be read out each second: the spoken words change only with the state. */}
      <span className="spoken" role="status">
        {status.phase === "waiting" ? "Connection lost, reconnecting" : words}
      </span>
    </div>
  );
}
