import { type FormEvent, useRef, useState } from "react";
import type { Interval } from "../api";
import { useAction } from "../hooks/action";
import { useSend } from "../hooks/bootstrap";
import { useFirstError } from "../hooks/first-error";
import {
  blank,
  body,
  complaint,
  type Draft,
  defaults,
  INTERVAL_CHOICES,
  type Kind,
  type Parameter,
  rangeOf,
  refusedParameter,
  type Strategy,
  spoken,
  warmupOf,
} from "../strategies";
import { CheckField, Segments, SelectField, TextField } from "./field";

interface Props {
  /** The strategy that is changed; null: a new one. */
  id: number | null;
  initial: Draft | null;
  kinds: Kind[];
  saved: (strategy: Strategy) => void;
  cancel: () => void;
}

const ON = [
  ["watched", "My watchlists"],
  ["named", "These"],
] as const;

/** Make a strategy, or change one. What can't be is said at its field, before and after the server is asked. */
export function StrategyForm({ id, initial, kinds, saved, cancel }: Props) {
  const send = useSend();
  const { busy, error, refusals, run } = useAction();
  const form = useRef<HTMLFormElement>(null);
  useFirstError(form, refusals);
  const first = kinds[0];
  const [draft, setDraft] = useState<Draft | null>(initial ?? (first === undefined ? null : blank(first)));
  if (draft === null) return null;
  const set = (changes: Partial<Draft>) => setDraft({ ...draft, ...changes });
  const kind = kinds.find((each) => each.kind === draft.kind);
  const parameters = kind?.parameters ?? [];
  const refused = refusedParameter(
    refusals,
    parameters.map(({ name }) => name),
  );
  const wrong = parameters.some((each) => complaint(each, draft.parameters[each.name] ?? "") !== undefined);

  const save = async (event: FormEvent) => {
    event.preventDefault();
    const strategy = await run(() =>
      id === null
        ? send<Strategy>("POST", "/api/strategies/", body(draft))
        : send<Strategy>("PATCH", `/api/strategies/${id}/`, body(draft)),
    );
    if (strategy !== undefined) saved(strategy);
  };

  return (
    <form className="strategy-form" ref={form} onSubmit={save} noValidate>
      <div className="form-row">
        <TextField label="Name" value={draft.name} error={refusals.name} change={(name) => set({ name })} />
        <SelectField
          label="Kind"
          value={draft.kind}
          choices={kinds.map((each) => [each.kind, each.kind] as const)}
          error={refusals.kind}
          change={(name) => {
            const other = kinds.find((each) => each.kind === name);
            if (other !== undefined) set({ kind: name, parameters: defaults(other) });
          }}
        />
        <SelectField
          label="Bars of"
          value={draft.interval}
          choices={INTERVAL_CHOICES}
          error={refusals.interval}
          change={(interval) => set({ interval: interval as Interval })}
        />
      </div>
      {kind !== undefined && (
        <p className="muted">
          {kind.description} With its defaults it speaks after {warmupOf(kind.warmup, draft.interval)}.
        </p>
      )}
      <section aria-label="Parameters">
        <h3>Parameters</h3>
        <div className="form-row">
          {parameters.map((each) => (
            <ParameterField
              key={each.name}
              parameter={each}
              value={draft.parameters[each.name] ?? ""}
              refused={refused[each.name]}
              change={(value) => set({ parameters: { ...draft.parameters, [each.name]: value } })}
            />
          ))}
        </div>
        {refused[""] !== undefined && (
          <p className="field-error" role="alert">
            {refused[""]}
          </p>
        )}
      </section>
      <section aria-label="Instruments">
        <h3>On</h3>
        <Segments
          legend="Instruments"
          name="watched"
          value={draft.watched ? "watched" : "named"}
          choices={ON}
          change={(on) => set({ watched: on === "watched" })}
        />
        {!draft.watched && (
          <TextField
            label="Symbols"
            hint="With commas between; feeds then follow them"
            value={draft.symbols}
            error={symbolsRefused(refusals)}
            change={(symbols) => set({ symbols })}
          />
        )}
      </section>
      <section aria-label="Telling">
        <h3>What you see and hear</h3>
        <TextField
          label="From a confidence of"
          className="short-field"
          type="number"
          unit="of 100"
          hint="Of what is less sure nothing is said"
          value={draft.confidence}
          error={refusals.min_confidence}
          change={(confidence) => set({ confidence })}
        />
        <div className="form-checks">
          <CheckField label="Tell me of each signal" checked={draft.notify} change={(notify) => set({ notify })} />
          <CheckField label="Switched on" checked={draft.enabled} change={(enabled) => set({ enabled })} />
        </div>
      </section>
      {error !== null && (
        <p className="form-error" role="alert">
          {error}
        </p>
      )}
      <div className="form-foot">
        <button type="submit" className="button primary" disabled={busy || wrong}>
          {id === null ? "Create strategy" : "Save changes"}
        </button>
        <button type="button" className="button" onClick={cancel}>
          Cancel
        </button>
      </div>
    </form>
  );
}

interface ParameterProps {
  parameter: Parameter;
  value: string;
  refused: string | undefined;
  change: (value: string) => void;
}

function ParameterField({ parameter, value, refused, change }: ParameterProps) {
  const { name, description, min, max } = parameter;
  const hint = [description, rangeOf(min, max)].filter((part) => part !== "").join(": ");
  return (
    <TextField
      label={spoken(name)}
      type="number"
      hint={hint}
      value={value}
      error={complaint(parameter, value) ?? refused}
      change={change}
    />
  );
}

/** The list as a whole, or one of its symbols. */
function symbolsRefused(refusals: Record<string, string>): string | undefined {
  return Object.entries(refusals).find(([place]) => place === "instruments" || place.startsWith("instruments."))?.[1];
}
