import { type FormEvent, useEffect, useRef, useState } from "react";
import {
  blankDraft,
  type ConfigField,
  changedBody,
  createdBody,
  type Destination,
  type Draft,
  draftOf,
  KINDS,
  type Kind,
  SPECS,
  typesWith,
} from "../destinations";
import { useAction } from "../hooks/action";
import { useSend } from "../hooks/bootstrap";
import { useFirstError } from "../hooks/first-error";
import type { ThisBrowser } from "../hooks/this-browser";
import { type Refusals, restOf, type Send } from "../http";
import { browserName, obstacle } from "../webpush";
import { Chips } from "./chips";
import { CheckField, PRIORITIES, Segments, TextField } from "./field";

const URL = "/api/destinations/";

interface Props {
  /** What is changed; null makes a new one. */
  before: Destination | null;
  /** Names that are in use. */
  taken: readonly string[];
  here: ThisBrowser;
  saved: (destination: Destination) => void;
  cancel: () => void;
}

export function DestinationForm({ before, taken, here, saved, cancel }: Props) {
  const send = useSend();
  const { busy, error, refusals, run, clear } = useAction();
  const [draft, setDraft] = useState<Draft>(() => (before === null ? fresh("email", taken) : draftOf(before)));
  const form = useRef<HTMLFormElement>(null);
  useFirstError(form, refusals);
  useEffect(() => form.current?.querySelector<HTMLElement>("input:checked, input")?.focus(), []);
  const set = (changes: Partial<Draft>) => setDraft((held) => ({ ...held, ...changes }));
  const choose = (kind: Kind) => {
    clear();
    // A name that was typed is kept.
    const own = draft.name !== fresh(draft.kind, taken).name;
    setDraft({ ...fresh(kind, taken), ...(own ? { name: draft.name } : {}) });
  };
  const store = async (request: () => Promise<Destination>) => {
    const answer = await run(request);
    if (answer !== undefined) saved(answer);
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void store(() =>
      before === null ? create(send, draft, here) : send("PATCH", url(before), changedBody(before, draft)),
    );
  };
  const isPush = draft.kind === "webpush";
  const impossible = before === null && isPush ? whyNot(here) : null;
  return (
    <form className="destination-form" ref={form} onSubmit={submit} noValidate>
      {before === null ? (
        <KindPicker kind={draft.kind} choose={choose} />
      ) : (
        <h3>
          Change “{before.name}” <span className="muted">{SPECS[draft.kind].label}</span>
        </h3>
      )}
      <p className="muted">{SPECS[draft.kind].about}</p>
      {impossible !== null ? (
        <p className="form-note" role="status">
          {impossible}
        </p>
      ) : (
        <>
          <div className="form-row">
            <TextField label="Name" value={draft.name} error={refusals.name} change={(name) => set({ name })} />
          </div>
          {!isPush && <ConfigFields draft={draft} isNew={before === null} set={set} refusals={refusals} />}
          {before !== null && isPush && (
            <Resubscribe
              busy={busy}
              subscribe={() =>
                store(() =>
                  here.subscribe((config) => send<Destination>("PATCH", url(before), { config, enabled: true })),
                )
              }
            />
          )}
          <Filter draft={draft} set={set} refusals={refusals} />
        </>
      )}
      {error !== null && (
        <p className="form-error" role="alert">
          {restOf(error, refusals, placesOf(draft))}
        </p>
      )}
      <div className="form-foot">
        <button type="submit" className="button primary" disabled={busy || impossible !== null}>
          {before !== null ? "Save changes" : isPush ? "Allow and add" : "Add destination"}
        </button>
        <button type="button" className="button" onClick={cancel}>
          Cancel
        </button>
      </div>
    </form>
  );
}

function url({ id }: Destination): string {
  return `${URL}${id}/`;
}

function fresh(kind: Kind, taken: readonly string[]): Draft {
  return blankDraft(kind, taken, kind === "webpush" ? browserName(navigator.userAgent) : undefined);
}

function create(send: Send, draft: Draft, here: ThisBrowser): Promise<Destination> {
  if (draft.kind !== "webpush") return send("POST", URL, createdBody(draft));
  return here.subscribe((config) => send<Destination>("POST", URL, createdBody(draft, config)));
}

function whyNot(here: ThisBrowser): string | null {
  return here.id === null ? obstacle() : "This browser is among your destinations already.";
}

/** Where refusals stand at a field. */
function placesOf({ kind }: Draft): ReadonlySet<string> {
  return new Set(["name", "types", ...SPECS[kind].fields.map(({ name }) => `config.${name}`)]);
}

function KindPicker({ kind, choose }: { kind: Kind; choose: (kind: Kind) => void }) {
  return (
    <fieldset className="kinds">
      <legend>Where do you want to be told?</legend>
      <div className="kinds-list">
        {KINDS.map((each) => (
          <label key={each} className="kind">
            <input type="radio" name="kind" value={each} checked={each === kind} onChange={() => choose(each)} />
            <span>{SPECS[each].label}</span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}

interface PartProps {
  draft: Draft;
  set: (changes: Partial<Draft>) => void;
  refusals: Refusals;
}

function ConfigFields({ draft, isNew, set, refusals }: PartProps & { isNew: boolean }) {
  return (
    <div className="form-row">
      {SPECS[draft.kind].fields.map((field) => (
        <div key={field.name} className="config-field">
          <TextField
            label={field.optional ? `${field.label} (optional)` : field.label}
            type={field.type ?? "text"}
            value={draft.values[field.name] ?? ""}
            placeholder={isNew || !field.secret ? (field.placeholder ?? "") : "Unchanged"}
            hint={isNew || !field.secret ? field.hint : "Stored, and never shown. Empty keeps it."}
            error={refusals[`config.${field.name}`]}
            change={(value) => set({ values: { ...draft.values, [field.name]: value } })}
          />
          {!isNew && isRemovable(draft.kind, field) && (
            <CheckField
              label="Take away what is stored"
              checked={draft.removed.includes(field.name)}
              change={(removed) => set({ removed: removed ? [field.name] : [] })}
            />
          )}
        </div>
      ))}
    </div>
  );
}

/** A webhook can't be without its secret: another one can only take its place. */
function isRemovable(kind: Kind, { secret, optional }: ConfigField): boolean {
  return secret === true && optional === true && kind !== "webhook";
}

function Resubscribe({ busy, subscribe }: { busy: boolean; subscribe: () => void }) {
  const inTheWay = obstacle();
  return (
    <div className="form-note">
      <p>
        {inTheWay ??
          "A browser may withdraw what it has subscribed to. Subscribing anew makes this one the destination."}
      </p>
      {inTheWay === null && (
        <button type="button" className="button" disabled={busy} onClick={subscribe}>
          Subscribe this browser anew
        </button>
      )}
    </div>
  );
}

function Filter({ draft, set, refusals }: PartProps) {
  return (
    <>
      <Segments
        legend="From priority"
        labelled
        name="min_priority"
        value={draft.min_priority}
        choices={PRIORITIES}
        change={(min_priority) => set({ min_priority })}
      />
      <Chips
        legend="Only about"
        hint="None chosen: everything."
        error={refusals.types}
        choices={typesWith(draft.types)}
        chosen={draft.types}
        change={(types) => set({ types })}
      />
    </>
  );
}
