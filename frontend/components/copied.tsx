import { useId, useRef, useState } from "react";

/** What is shown this once, with a button that takes it along. */
export function Copied({ label, value }: { label: string; value: string }) {
  const id = useId();
  const input = useRef<HTMLInputElement>(null);
  const [said, setSaid] = useState("");
  const copy = async () => {
    input.current?.select();
    try {
      await navigator.clipboard.writeText(value);
      setSaid("Copied.");
    } catch {
      // Without https, or leave: it is selected, and keys do the rest.
      setSaid("Press Ctrl+C (⌘C) to copy.");
    }
  };
  return (
    <div className="field copied">
      <label className="field-label" htmlFor={id}>
        {label}
      </label>
      <div className="copied-row">
        <span className="input">
          <input id={id} ref={input} readOnly value={value} onFocus={(event) => event.currentTarget.select()} />
        </span>
        <button type="button" className="button" onClick={copy}>
          Copy
        </button>
      </div>
      <p className="field-hint" role="status">
        {said}
      </p>
    </div>
  );
}
