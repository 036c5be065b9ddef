/** When a user wants to be told outside these pages. */

import { type FormEvent, useEffect, useId, useRef, useState } from "react";
import { useAction } from "../hooks/action";
import { useSend } from "../hooks/bootstrap";
import { useFirstError } from "../hooks/first-error";
import { useResource } from "../hooks/resource";
import { get, type Refusals, restOf } from "../http";
import { changes, draftOf, type Preferences, type PreferencesDraft } from "../preferences";
import { CheckField, TextField } from "./field";
import { Digests } from "./preferences-digests";
import { Levels } from "./preferences-levels";
import { QuietHours } from "./preferences-quiet";
import { Failure, Skeleton } from "./states";

const URL = "/api/notifications/preferences/";

export function PreferencesSection() {
  const { data, error, reload } = useResource("preferences", (signal) => get<Preferences>(URL, signal));
  const [kept, setKept] = useState<Preferences | undefined>();
  const known = kept ?? data;
  if (known !== undefined) return <PreferencesForm kept={known} saved={setKept} />;
  return (
    <section className="card" aria-label="Preferences">
      {error === undefined ? (
        <Skeleton rows={6} />
      ) : (
        <Failure what="Your preferences could not be loaded" error={error} retry={reload} />
      )}
    </section>
  );
}

export interface PartProps {
  draft: PreferencesDraft;
  set: (some: Partial<PreferencesDraft>) => void;
  refusals: Refusals;
}

function PreferencesForm({ kept, saved }: { kept: Preferences; saved: (kept: Preferences) => void }) {
  const send = useSend();
  const { busy, error, refusals, run, clear } = useAction();
  const [draft, setDraft] = useState(() => draftOf(kept));
  const [done, setDone] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  useFirstError(form, refusals);
  const changed = changes(kept, draft);
  const isChanged = Object.keys(changed).length > 0;
  useLeaveGuard(isChanged);
  const set = (some: Partial<PreferencesDraft>) => {
    setDone(false);
    setDraft((held) => ({ ...held, ...some }));
  };
  const save = async (event: FormEvent) => {
    event.preventDefault();
    const answer = await run(() => send<Preferences>("PATCH", URL, changed));
    if (answer === undefined) return;
    saved(answer);
    setDraft(draftOf(answer));
    setDone(true);
  };
  const undo = () => {
    clear();
    setDraft(draftOf(kept));
  };
  const parts = { draft, set, refusals };
  return (
    <form className="preferences" ref={form} onSubmit={save} noValidate>
      <p className="muted">
        On these pages you are told of everything at once. This is about what goes to your destinations.
      </p>
      <section className="card part" aria-labelledby="quiet-title">
        <h2 id="quiet-title">Quiet hours</h2>
        <QuietNow until={kept.quiet_until} zone={kept.time_zone} />
        <TimeZone {...parts} />
        <QuietHours {...parts} />
        <CheckField
          label="What is critical disturbs at any hour"
          hint="Otherwise it waits with the rest."
          checked={draft.critical_breaks_through}
          change={(critical_breaks_through) => set({ critical_breaks_through })}
        />
      </section>
      <section className="card part" aria-labelledby="levels-title">
        <h2 id="levels-title">What is delivered</h2>
        <Levels {...parts} />
      </section>
      <section className="card part" aria-labelledby="digests-title">
        <h2 id="digests-title">Summaries</h2>
        <Digests {...parts} />
      </section>
      <section className="card part" aria-labelledby="storm-title">
        <h2 id="storm-title">When there is too much</h2>
        <Storm {...parts} />
      </section>
      {error !== null && (
        <p className="form-error" role="alert">
          {restOf(error, refusals, placesOf(draft))}
        </p>
      )}
      <div className="form-foot save-bar">
        <button type="submit" className="button primary" disabled={busy || !isChanged}>
          Save changes
        </button>
        {isChanged && (
          <button type="button" className="button" disabled={busy} onClick={undo}>
            Undo
          </button>
        )}
        <span role="status" className="muted">
          {done && !isChanged ? "Saved." : ""}
        </span>
      </div>
    </form>
  );
}

/** What was typed and not saved is not lost without a word. */
function useLeaveGuard(isChanged: boolean): void {
  useEffect(() => {
    if (!isChanged) return;
    const hold = (event: BeforeUnloadEvent) => event.preventDefault();
    addEventListener("beforeunload", hold);
    return () => removeEventListener("beforeunload", hold);
  }, [isChanged]);
}

/** Where refusals stand at a field. */
function placesOf(draft: PreferencesDraft): ReadonlySet<string> {
  const names = ["time_zone", "quiet_hours", "storm_max", "storm_type_max", "storm_minutes"];
  const quiet = draft.quiet.flatMap((_, index) =>
    ["days", "start", "end"].map((field) => `quiet_hours.${index}.${field}`),
  );
  const digests = draft.digests.flatMap((_, index) =>
    ["types", "every_minutes", "at"].map((field) => `digests.${index}.${field}`),
  );
  return new Set([
    ...names,
    ...quiet,
    ...digests,
    ...Object.keys(draft.levels).map((type) => `minimum_priority.${type}`),
  ]);
}

function QuietNow({ until, zone }: { until: string | null; zone: string }) {
  if (until === null) return null;
  const time = new Date(until).toLocaleString("en-GB", {
    timeZone: zone,
    weekday: "short",
    hour: "2-digit",
    minute: "2-digit",
  });
  return <p className="form-note">It is quiet now, until {time}.</p>;
}

function TimeZone({ draft, set, refusals }: PartProps) {
  const list = useId();
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return (
    <div className="form-row">
      <TextField
        label="Time zone"
        list={list}
        placeholder="Europe/Berlin"
        value={draft.time_zone}
        error={refusals.time_zone}
        change={(time_zone) => set({ time_zone })}
      />
      <datalist id={list}>
        {["UTC", ...Intl.supportedValuesOf("timeZone")].map((zone) => (
          <option key={zone} value={zone} />
        ))}
      </datalist>
      {own !== draft.time_zone && (
        <button type="button" className="link own-zone" onClick={() => set({ time_zone: own })}>
          Use this browser's: {own}
        </button>
      )}
    </div>
  );
}

function Storm({ draft, set, refusals }: PartProps) {
  return (
    <>
      <p className="muted">Beyond so many within so many minutes, the rest comes as one summary.</p>
      <div className="form-row">
        <TextField
          label="On one symbol"
          type="number"
          placeholder="Default"
          value={draft.storm_max}
          error={refusals.storm_max}
          change={(storm_max) => set({ storm_max })}
        />
        <TextField
          label="Of one type"
          type="number"
          placeholder="Default"
          value={draft.storm_type_max}
          error={refusals.storm_type_max}
          change={(storm_type_max) => set({ storm_type_max })}
        />
        <TextField
          label="Within"
          type="number"
          unit="min"
          placeholder="Default"
          value={draft.storm_minutes}
          error={refusals.storm_minutes}
          change={(storm_minutes) => set({ storm_minutes })}
        />
      </div>
    </>
  );
}
