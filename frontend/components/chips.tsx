interface Props<T extends string> {
  legend: string;
  hint?: string;
  error?: string | undefined;
  choices: readonly (readonly [T, string])[];
  chosen: readonly T[];
  change: (chosen: T[]) => void;
}

/** Any of a few, in the order of the choices. */
export function Chips<T extends string>({ legend, hint, error, choices, chosen, change }: Props<T>) {
  const toggle = (value: T, on: boolean) =>
    change(choices.map(([each]) => each).filter((each) => (each === value ? on : chosen.includes(each))));
  return (
    <fieldset className="chips-field">
      <legend className="field-label">{legend}</legend>
      <div className="chips">
        {choices.map(([value, label]) => (
          <label key={value} className="chip">
            <input
              type="checkbox"
              checked={chosen.includes(value)}
              aria-invalid={error !== undefined}
              onChange={(event) => toggle(value, event.currentTarget.checked)}
            />
            <span>{label}</span>
          </label>
        ))}
      </div>
      {(error ?? hint) !== undefined && (
        <p className={error === undefined ? "field-hint" : "field-error"}>{error ?? hint}</p>
      )}
    </fieldset>
  );
}
