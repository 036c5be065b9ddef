/** The parts of a form: a name, a control, and what was refused about it. */

import { type ReactNode, useId } from "react";

export interface Control {
  id: string;
  "aria-invalid": boolean;
  "aria-describedby": string | undefined;
}

interface FieldProps {
  label: string;
  hint?: string | undefined;
  error?: string | undefined;
  className?: string;
  children: (control: Control) => ReactNode;
}

export function Field({ label, hint, error, className = "", children }: FieldProps) {
  const id = useId();
  const said = error ?? hint;
  return (
    <div className={`field ${className}`}>
      <label className="field-label" htmlFor={id}>
        {label}
      </label>
      {children({ id, "aria-invalid": error !== undefined, "aria-describedby": said && `${id}-said` })}
      {said !== undefined && (
        <p id={`${id}-said`} className={error === undefined ? "field-hint" : "field-error"}>
          {said}
        </p>
      )}
    </div>
  );
}

interface TextProps extends Omit<FieldProps, "children"> {
  value: string;
  change: (value: string) => void;
  type?: "text" | "number" | "email" | "time" | "datetime-local" | "password";
  unit?: string;
  list?: string;
  placeholder?: string;
}

export function TextField({ value, change, type = "text", unit, list, placeholder, ...field }: TextProps) {
  return (
    <Field {...field}>
      {(control) => (
        <span className="input">
          <input
            {...control}
            // A number field swallows what it can't read: the server says what is wrong with it.
            type={type === "number" ? "text" : type}
            inputMode={type === "number" ? "decimal" : undefined}
            autoComplete="off"
            spellCheck={false}
            list={list}
            placeholder={placeholder}
            value={value}
            onInput={(event) => change(event.currentTarget.value)}
          />
          {unit !== undefined && unit !== "" && <span className="input-unit">{unit}</span>}
        </span>
      )}
    </Field>
  );
}

export type Choices = readonly (readonly [value: string, label: string])[];

interface SelectProps extends Omit<FieldProps, "children"> {
  value: string;
  change: (value: string) => void;
  choices: Choices;
}

export function SelectField({ value, change, choices, ...field }: SelectProps) {
  return (
    <Field {...field}>
      {(control) => (
        <select {...control} value={value} onChange={(event) => change(event.currentTarget.value)}>
          {choices.map(([each, label]) => (
            <option key={each} value={each}>
              {label}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

interface SegmentsProps<T extends string> {
  legend: string;
  /** Whether the legend is on show, as a field's name is. */
  labelled?: boolean;
  name: string;
  value: T;
  choices: readonly (readonly [T, string])[];
  change: (value: T) => void;
}

/** One of a few, side by side. */
export function Segments<T extends string>({ legend, labelled, name, value, choices, change }: SegmentsProps<T>) {
  return (
    <fieldset className="segments-field">
      <legend className={labelled ? "field-label" : "spoken"}>{legend}</legend>
      <div className="segments">
        {choices.map(([each, label]) => (
          <label key={each} className="segment">
            <input type="radio" name={name} value={each} checked={each === value} onChange={() => change(each)} />
            <span>{label}</span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}

export function CheckField({
  label,
  hint,
  checked,
  change,
}: {
  label: string;
  hint?: string;
  checked: boolean;
  change: (checked: boolean) => void;
}) {
  return (
    <label className="check">
      <input type="checkbox" checked={checked} onChange={(event) => change(event.currentTarget.checked)} />
      <span>
        {label}
        {hint !== undefined && <span className="field-hint">{hint}</span>}
      </span>
    </label>
  );
}

export function Switch({
  label,
  checked,
  disabled,
  change,
}: {
  label: string;
  checked: boolean;
  disabled?: boolean;
  change: (checked: boolean) => void;
}) {
  return (
    <button
      type="button"
      role="switch"
      className="switch"
      aria-checked={checked}
      aria-label={label}
      disabled={disabled}
      onClick={() => change(!checked)}
    />
  );
}

export const PRIORITIES = [
  ["low", "Low"],
  ["normal", "Normal"],
  ["high", "High"],
  ["critical", "Critical"],
] as const;
