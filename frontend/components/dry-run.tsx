/** Would it have fired? The answer of the server: how often, a picture, and each time. */

import { useEffect, useRef, useState } from "react";
import type { DryRun } from "../alerts";
import { moment, price } from "../format";
import { useAction } from "../hooks/action";
import { useBootstrap, useSend } from "../hooks/bootstrap";
import { HttpError, type Refusals, type Send, sendForPicture } from "../http";
import { Segments } from "./field";

const SPANS = [
  ["1", "Day"],
  ["7", "Week"],
  ["30", "Month"],
] as const;
type Days = (typeof SPANS)[number][0];
const DAY_MS = 86_400_000;
const FIRINGS_SHOWN = 50;

interface Answer {
  run: DryRun;
  picture: Blob;
}

interface Props {
  /** Where to ask, and with which alert: undefined for one that is stored. */
  url: string;
  body?: () => unknown;
  /** What was refused belongs to the fields of the form around; nothing while it is asked. */
  refused?: (refusals: Refusals) => void;
}

async function ask(send: Send, csrfToken: string, url: string, days: Days, body: unknown): Promise<Answer> {
  const start = new Date(Date.now() - Number(days) * DAY_MS).toISOString();
  const run = await send<DryRun>("POST", `${url}?${new URLSearchParams({ start })}`, body);
  // The picture is of the same time, by the server's clock.
  const query = new URLSearchParams({ start: run.from, end: run.to, format: "svg" });
  return { run, picture: await sendForPicture(csrfToken, `${url}?${query}`, body) };
}

export function DryRunPart({ url, body, refused }: Props) {
  const { csrf_token } = useBootstrap();
  const send = useSend();
  const [days, setDays] = useState<Days>("7");
  const [answer, setAnswer] = useState<Answer | null>(null);
  const { busy, error, run } = useAction();
  const start = () =>
    run(async () => {
      refused?.({});
      try {
        setAnswer(await ask(send, csrf_token, url, days, body?.()));
      } catch (thrown) {
        setAnswer(null);
        if (thrown instanceof HttpError) refused?.(thrown.refusals);
        throw thrown;
      }
    });
  return (
    <section className="dry-run" aria-label="Would it have fired?">
      <div className="dry-run-head">
        <button type="button" className="button" disabled={busy} onClick={start}>
          {busy ? "Asking the past …" : "Would it have fired?"}
        </button>
        <Segments legend="Over the last" name="days" value={days} choices={SPANS} change={setDays} />
      </div>
      {error !== null && (
        <p className="field-error" role="alert">
          {error}
        </p>
      )}
      {answer !== null && <Result {...answer} />}
    </section>
  );
}

function Result({ run, picture }: Answer) {
  const source = useObjectUrl(picture);
  const root = useRef<HTMLDivElement>(null);
  // What was asked for at the end of a long form is answered below it.
  // biome-ignore lint/correctness/useExhaustiveDependencies: each answer is looked at once
  useEffect(() => root.current?.scrollIntoView({ block: "nearest" }), [run]);
  return (
    <div className="dry-run-result" ref={root}>
      <p role="status">
        <strong>{times(run.count)}</strong> from {moment(run.from)} to {moment(run.to)}, over{" "}
        {run.bars.toLocaleString("en-US")} bars of {run.interval}: {run.description}.
      </p>
      {run.unsupported.map(({ label, reason }) => (
        <p key={label} className="field-hint">
          Not replayed: {label}. {reason}
        </p>
      ))}
      {source !== undefined && (
        // The picture is wide: on a phone it is read by scrolling, from its newest end.
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
        <section className="dry-run-picture" tabIndex={0} aria-label="Chart" ref={showEnd}>
          <img
            src={source}
            alt={`The price, its thresholds and each firing: ${run.description}`}
            width={960}
            height={420}
          />
        </section>
      )}
      {run.firings.length > 0 && <Times run={run} />}
    </div>
  );
}

function showEnd(element: HTMLElement | null): void {
  if (element !== null) element.scrollLeft = element.scrollWidth;
}

/** "It would not have fired", "It would have fired once", … Pure. */
export function times(count: number): string {
  if (count === 0) return "It would not have fired";
  if (count === 1) return "It would have fired once";
  return `It would have fired ${count.toLocaleString("en-US")} times`;
}

function Times({ run }: { run: DryRun }) {
  const shown = run.firings.slice(0, FIRINGS_SHOWN);
  return (
    <>
      <table className="rows">
        <thead>
          <tr>
            <th scope="col">When</th>
            <th scope="col">Why</th>
            <th scope="col" className="number">
              Price
            </th>
          </tr>
        </thead>
        <tbody>
          {shown.map((firing) => (
            <tr key={firing.generation}>
              <td className="nowrap">{moment(firing.at)}</td>
              <td>
                {firing.reason}
                {firing.gapped && <span className="tag">gap</span>}
                {firing.spiked && <span className="tag">spike</span>}
              </td>
              <td className="number">{price(firing.price)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {run.count > shown.length && (
        <p className="field-hint">And {(run.count - shown.length).toLocaleString("en-US")} more.</p>
      )}
    </>
  );
}

/** An address for what was loaded, given back when it is no longer shown. */
function useObjectUrl(blob: Blob): string | undefined {
  const [url, setUrl] = useState<string | undefined>(undefined);
  useEffect(() => {
    const made = URL.createObjectURL(blob);
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [blob]);
  return url;
}
