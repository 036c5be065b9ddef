/** `/realtime/test/`: a socket by hand. Any path, every frame with its latency, messages of one's own. */

import "../styles/base.css";
import "../styles/console.css";
import { type FormEvent, type KeyboardEvent, useEffect, useMemo, useRef, useState } from "react";
import { createRoot } from "react-dom/client";
import { Icon, Logo } from "../components/icons";
import { readBootstrap } from "../hooks/bootstrap";
import { useTheme } from "../hooks/theme";
import { type Line, latencies, matching, rate } from "./log";
import { type Sign, useSocket } from "./socket";

interface Path {
  address: string;
  description: string;
  examples: object[];
}

interface ConsoleBootstrap {
  paths: Path[];
  csrf_token: string;
  user: { username: string } | null;
}

const bootstrap = readBootstrap() as unknown as ConsoleBootstrap;
const DEFAULT_SYMBOL = "BTC-USDT";
const DEFAULT_PARAMETERS: Record<string, string> = { symbol: DEFAULT_SYMBOL, stream: "price" };

function filled(address: string): string {
  return address.replace(/\{(\w+)\}/g, (_, name: string) => DEFAULT_PARAMETERS[name] ?? name);
}

/** The path that an address belongs to: `/ws/market/BTC/price/` to `/ws/market/{symbol}/{stream}/`. */
function pathOf(address: string): Path | undefined {
  const asked = address.split("?")[0]?.replace(/\/?$/, "/");
  return bootstrap.paths.find((path) => {
    const pattern = path.address.replace(/[.*+?^$()|[\]\\]/g, "\\$&").replace(/\{\w+\}/g, "[^/]+");
    return new RegExp(`^${pattern}$`).test(asked ?? "");
  });
}

function Console() {
  const [theme, toggleTheme] = useTheme();
  const [address, setAddress] = useState(() => new URLSearchParams(location.search).get("path") ?? "/ws/realtime/");
  const [sign, setSign] = useState<Sign>({ kind: "cookie" });
  const socket = useSocket(bootstrap.csrf_token);
  const path = pathOf(address);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (socket.state === "closed") socket.open(address, sign);
    else socket.close();
  };
  return (
    <>
      <header className="console-header">
        <a className="brand" href="/">
          <Logo />
          Tapehouse
        </a>
        <h1>Socket console</h1>
        <button
          type="button"
          className="icon-button"
          onClick={toggleTheme}
          aria-label={theme === "dark" ? "Use light colours" : "Use dark colours"}
        >
          <Icon name={theme === "dark" ? "sun" : "moon"} />
        </button>
      </header>
      <main className="console">
        <form className="console-bar card" onSubmit={submit}>
          <label className="grow">
            Path
            <input
              name="path"
              list="paths"
              value={address}
              spellCheck={false}
              autoComplete="off"
              disabled={socket.state !== "closed"}
              onInput={(event) => setAddress(event.currentTarget.value)}
            />
            <datalist id="paths">
              {bootstrap.paths.map((one) => (
                <option key={one.address} value={filled(one.address)} />
              ))}
            </datalist>
          </label>
          <SignAs sign={sign} setSign={setSign} disabled={socket.state !== "closed"} />
          <button type="submit" className="button primary">
            {socket.state === "closed" ? "Connect" : "Disconnect"}
          </button>
          <p className={`console-state ${socket.state}`} role="status">
            <span className="dot" />
            {socket.said}
          </p>
        </form>
        {path !== undefined && <p className="console-about">{path.description.split("\n\n")[0]}</p>}
        <Composer examples={path?.examples ?? []} live={socket.state === "open"} send={socket.send} />
        <Frames socket={socket} />
      </main>
    </>
  );
}

function SignAs({ sign, setSign, disabled }: { sign: Sign; setSign: (sign: Sign) => void; disabled: boolean }) {
  const cookie = bootstrap.user === null ? "Nobody" : `Session of ${bootstrap.user.username}`;
  return (
    <>
      <label>
        Sign in by
        <select
          value={sign.kind}
          disabled={disabled}
          onChange={(event) => setSign({ kind: event.currentTarget.value as Sign["kind"], token: sign.token })}
        >
          <option value="cookie">{cookie}</option>
          <option value="ticket" disabled={bootstrap.user === null}>
            One-use ticket
          </option>
          <option value="token">Token</option>
        </select>
      </label>
      {sign.kind === "token" && (
        <label className="grow">
          Token
          <input
            value={sign.token ?? ""}
            spellCheck={false}
            autoComplete="off"
            disabled={disabled}
            onInput={(event) => setSign({ kind: "token", token: event.currentTarget.value })}
          />
        </label>
      )}
    </>
  );
}

interface ComposerProps {
  examples: object[];
  live: boolean;
  send: (text: string) => void;
}

function Composer({ examples, live, send }: ComposerProps) {
  const [text, setText] = useState('{"type": "ping"}');
  const [problem, setProblem] = useState<string | null>(null);
  const submit = () => {
    send(text);
    setProblem(null);
  };
  const check = (value: string) => {
    setText(value);
    try {
      JSON.parse(value);
      setProblem(null);
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
    }
  };
  const keys = (event: KeyboardEvent) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && live) submit();
  };
  return (
    <section className="console-composer card" aria-label="Composer">
      <label>
        <span>
          Message <kbd>Ctrl</kbd>+<kbd>Enter</kbd> sends
        </span>
        <textarea
          rows={2}
          value={text}
          spellCheck={false}
          aria-invalid={problem !== null}
          aria-describedby="problem"
          onInput={(event) => check(event.currentTarget.value)}
          onKeyDown={keys}
        />
      </label>
      <div className="console-row">
        <div className="console-examples">
          {examples.map((example) => {
            const shown = JSON.stringify(example);
            return (
              <button key={shown} type="button" className="chip" title={shown} onClick={() => check(shown)}>
                {labelOf(example)}
              </button>
            );
          })}
        </div>
        <p id="problem" className="console-problem">
          {problem !== null && `No JSON (it can be sent all the same): ${problem}`}
        </p>
        <button type="button" className="button" disabled={!live} onClick={submit}>
          Send
        </button>
      </div>
    </section>
  );
}

function labelOf(example: object): string {
  const { type, action } = example as { type?: string; action?: string };
  return type ?? action ?? "…";
}

function Frames({ socket }: { socket: ReturnType<typeof useSocket> }) {
  const { log, paused } = socket;
  const [filter, setFilter] = useState("");
  const shown = useMemo(() => matching(log.lines, filter), [log.lines, filter]);
  const late = useMemo(() => latencies(shown), [shown]);
  const end = useRef<HTMLLIElement>(null);
  const newest = shown.at(-1)?.id;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the newest line is what it follows
  useEffect(() => {
    const list = end.current?.parentElement;
    if (list && list.scrollHeight - list.scrollTop - list.clientHeight < 120) list.scrollTop = list.scrollHeight;
  }, [newest]);
  return (
    <section className="console-frames card" aria-label="Frames">
      <div className="console-row">
        <label className="console-filter">
          <span className="spoken">Filter</span>
          <input
            type="search"
            placeholder="Filter, such as: price BTC"
            value={filter}
            onInput={(event) => setFilter(event.currentTarget.value)}
          />
        </label>
        <dl className="console-figures">
          <Figure name="received" value={log.received.toLocaleString("en")} />
          <Figure name="a second" value={rate(log, Date.now()).toFixed(1)} />
          <Figure name="kB" value={(log.receivedBytes / 1000).toFixed(1)} />
          <Figure name="latency" value={late === null ? "–" : `${late.median} / ${late.worst} ms`} />
        </dl>
        <button type="button" className="button" aria-pressed={paused} onClick={socket.pause}>
          {paused ? "Go on" : "Pause"}
        </button>
        <button type="button" className="button" onClick={socket.clear}>
          Clear
        </button>
      </div>
      {shown.length === 0 ? (
        <p className="console-empty">
          {log.lines.length > 0
            ? "No frame has all of these words."
            : "Nothing yet. Connect, and each frame shows here as it comes."}
        </p>
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling list has to be reachable by keyboard
        <ol className="console-lines" tabIndex={0}>
          {log.dropped > 0 && <li className="note">{log.dropped.toLocaleString("en")} older lines were let go.</li>}
          {shown.map((line) => (
            <Shown key={line.id} line={line} />
          ))}
          <li ref={end} className="console-end" />
        </ol>
      )}
    </section>
  );
}

function Figure({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dd>{value}</dd>
      <dt>{name}</dt>
    </div>
  );
}

const ARROWS = { in: "↓", out: "↑", note: "·" };
const WORDS = { in: "received", out: "sent", note: "note" };

function Shown({ line }: { line: Line }) {
  return (
    <li className={line.direction}>
      <time>{new Date(line.at).toISOString().slice(11, 23)}</time>
      <span className="arrow" role="img" aria-label={WORDS[line.direction]}>
        {ARROWS[line.direction]}
      </span>
      <span className="late">{line.latencyMs === null ? "" : `${line.latencyMs} ms`}</span>
      <code>{line.text}</code>
    </li>
  );
}

const root = document.getElementById("page");
if (root !== null) createRoot(root).render(<Console />);
