import { type FormEvent, useState } from "react";
import { useAction } from "../hooks/action";
import { useSend } from "../hooks/bootstrap";
import { usePolled } from "../hooks/polled";
import { getJob, type Job } from "../status";
import { symbolsIn } from "../symbols";
import { TextField } from "./field";
import { Progress } from "./status-ledger";

const JOB_MS = 1000;

/** Staff ask for prices now, and see how far that is. suggested: what most people follow. */
export function ForceCard({ suggested }: { suggested: string[] }) {
  const send = useSend();
  const [text, setText] = useState<string | null>(null);
  const [job, setJob] = useState<number | null>(null);
  const { busy, error, refusals, run } = useAction();
  const shown = text ?? suggested.join(", ");
  const ask = async (event: FormEvent) => {
    event.preventDefault();
    const answer = await run(() =>
      send<{ job_id: number }>("POST", "/api/realtime/force_price_update/", { symbols: symbolsIn(shown) }),
    );
    if (answer !== undefined) setJob(answer.job_id);
  };
  return (
    <section className="card force-card" aria-label="Update prices">
      <div className="card-head">
        <h2>Update prices now</h2>
      </div>
      <form className="force" onSubmit={ask} noValidate>
        <TextField
          label="Symbols"
          hint="By any of their names; each one's best source is asked, within its budget"
          value={shown}
          error={refusals.symbols ?? error ?? undefined}
          change={setText}
        />
        <button type="submit" className="button primary" disabled={busy}>
          Update prices
        </button>
      </form>
      {job !== null && <JobProgress key={job} id={job} />}
    </section>
  );
}

const WORDS: Record<Job["status"], string> = {
  running: "Asking the sources …",
  done: "Done",
  failed: "Failed",
  cancelled: "Cancelled",
};

function JobProgress({ id }: { id: number }) {
  const [over, setOver] = useState<Job | null>(null);
  const { data, error } = usePolled(
    over === null ? `job:${id}` : null,
    async (signal) => {
      const job = await getJob(id, signal);
      if (job.status !== "running") setOver(job);
      return job;
    },
    JOB_MS,
  );
  const job = over ?? data;
  if (job === undefined) return error === undefined ? null : <p className="force-job field-error">{error.message}</p>;
  return (
    <div className="force-job" data-job={job.status}>
      <Progress done={job.done} total={job.total} label={`Job ${id}`} />
      <p role="status">
        {WORDS[job.status]}
        {job.message !== "" && <span className="muted"> · {job.message}</span>}
      </p>
    </div>
  );
}
