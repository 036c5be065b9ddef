import { type FormEvent, useRef, useState } from "react";
import type { Alert, Mode } from "../alerts";
import { INTERVALS } from "../api";
import { body, changes, type Draft, pastBody } from "../draft";
import { useAction } from "../hooks/action";
import { useSend } from "../hooks/bootstrap";
import { useFirstError } from "../hooks/first-error";
import { type Refusals, restOf } from "../http";
import { ConditionFields, type Known } from "./condition-fields";
import { DryRunPart } from "./dry-run";
import { CheckField, PRIORITIES, Segments, SelectField, TextField } from "./field";

const MODES = [
  ["once", "Once"],
  ["every", "Each time"],
  ["once_per_bar", "Once per bar"],
] as const satisfies readonly (readonly [Mode, string])[];
const SESSIONS = [
  ["any", "at any hour"],
  ["regular", "while the market is open"],
] as const;

type Change = (some: Partial<Draft>) => void;

const PLACES = new Set(["interval", "cooldown_s", "confirmations", "expires_at", "session", "name", "note"]);

/** The places whose refusals stand at a field, or somewhere in the condition. */
function shownOf(refusals: Refusals): Set<string> {
  return new Set(Object.keys(refusals).filter((place) => PLACES.has(place) || place.startsWith("condition")));
}

interface Props {
  /** The alert that is changed; null: a new one. */
  id: number | null;
  initial: Draft;
  known: Known;
  saved: (alert: Alert) => void;
  cancel: () => void;
}

/** Make an alert, or change one. What the server refuses stands at the field that it names. */
export function AlertForm({ id, initial, known, saved, cancel }: Props) {
  const send = useSend();
  // As it was when the form was opened, whatever the list says meanwhile.
  const [before] = useState(initial);
  const [draft, setDraft] = useState(initial);
  const [past, setPast] = useState<Refusals>({});
  const form = useRef<HTMLFormElement>(null);
  const { busy, error, refusals, run } = useAction();
  const said = { ...past, ...refusals };
  const set: Change = (some) => setDraft((last) => ({ ...last, ...some }));
  useFirstError(form, refusals);

  const save = async (event: FormEvent) => {
    event.preventDefault();
    setPast({});
    const alert = await run(() =>
      id === null
        ? send<Alert>("POST", "/api/alerts/", body(draft))
        : send<Alert>("PATCH", `/api/alerts/${id}/`, changes(before, draft)),
    );
    if (alert !== undefined) saved(alert);
  };

  return (
    <form className="alert-form" ref={form} onSubmit={save} noValidate>
      <section aria-label="Condition">
        <h3>Tell me when</h3>
        <ConditionFields
          condition={draft.condition}
          change={(condition) => set({ condition })}
          known={known}
          own={draft.symbol}
          refusals={said}
        />
      </section>
      <section aria-label="How often">
        <h3>How often</h3>
        <div className="mode-row">
          <Segments legend="Mode" name="mode" value={draft.mode} choices={MODES} change={(mode) => set({ mode })} />
          {draft.mode === "once_per_bar" && (
            <SelectField
              label="Bars of"
              value={draft.interval}
              choices={INTERVALS.map((each) => [each, each])}
              error={said.interval}
              change={(interval) => set({ interval })}
            />
          )}
        </div>
        <Repeats draft={draft} set={set} refusals={said} />
      </section>
      <section aria-label="How it is told">
        <h3>How it is told</h3>
        <Telling draft={draft} set={set} refusals={said} />
      </section>
      <DryRunPart url="/api/alerts/dry-run/" body={() => pastBody(draft)} refused={setPast} />
      <div className="form-foot">
        {error !== null && (
          <p className="form-error" role="alert">
            {restOf(error, refusals, shownOf(refusals))}
          </p>
        )}
        <button type="submit" className="button primary" disabled={busy}>
          {id === null ? "Create alert" : "Save changes"}
        </button>
        <button type="button" className="button" onClick={cancel}>
          Cancel
        </button>
      </div>
    </form>
  );
}

interface PartProps {
  draft: Draft;
  set: Change;
  refusals: Refusals;
}

function Repeats({ draft, set, refusals }: PartProps) {
  return (
    <>
      <div className="form-row">
        {draft.mode !== "once" && (
          <TextField
            label="Cooldown"
            type="number"
            unit="min"
            hint="Silence after each time"
            value={draft.cooldownMinutes}
            error={refusals.cooldown_s}
            change={(cooldownMinutes) => set({ cooldownMinutes })}
          />
        )}
        <TextField
          label="Confirmations"
          type="number"
          hint="Looks in a row that agree"
          value={draft.confirmations}
          error={refusals.confirmations}
          change={(confirmations) => set({ confirmations })}
        />
        <TextField
          label="Until"
          type="datetime-local"
          hint="Empty: for good"
          value={draft.expires}
          error={refusals.expires_at}
          change={(expires) => set({ expires })}
        />
        <SelectField
          label="Told"
          value={draft.session}
          choices={SESSIONS}
          error={refusals.session}
          change={(session) => set({ session: session as Draft["session"] })}
        />
      </div>
      <div className="form-checks">
        <CheckField
          label="Tell me at once if it is true already"
          checked={draft.at_once}
          change={(at_once) => set({ at_once })}
        />
        {draft.mode !== "once" && (
          <CheckField
            label="Cool longer each time that it fires soon again"
            checked={draft.escalating}
            change={(escalating) => set({ escalating })}
          />
        )}
      </div>
    </>
  );
}

function Telling({ draft, set, refusals }: PartProps) {
  return (
    <>
      <Segments
        legend="Priority"
        labelled
        name="priority"
        value={draft.priority}
        choices={PRIORITIES}
        change={(priority) => set({ priority })}
      />
      <div className="form-row">
        <TextField
          label="Name"
          placeholder="The condition in words"
          value={draft.name}
          error={refusals.name}
          change={(name) => set({ name })}
        />
        <TextField
          label="Note to yourself"
          className="wide-field"
          value={draft.note}
          error={refusals.note}
          change={(note) => set({ note })}
        />
      </div>
    </>
  );
}
