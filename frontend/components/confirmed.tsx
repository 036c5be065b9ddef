import { type KeyboardEvent, useEffect, useRef, useState } from "react";

interface Props {
  label: string;
  question: string;
  disabled?: boolean;
  confirm: () => void;
}

/** A button for what can't be undone: it asks once, in its own place. */
export function Confirmed({ label, question, disabled, confirm }: Props) {
  const [asking, setAsking] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  const asked = useRef(false);
  // The focus follows the question, and comes back where it was withdrawn.
  useEffect(() => {
    if (asking || asked.current) button.current?.focus();
    asked.current = asking;
  }, [asking]);
  if (!asking) {
    return (
      <button ref={button} type="button" className="button danger" disabled={disabled} onClick={() => setAsking(true)}>
        {label}
      </button>
    );
  }
  const withdraw = (event: KeyboardEvent) => {
    if (event.key === "Escape") setAsking(false);
  };
  return (
    <fieldset className="confirm" aria-label={question} onKeyDown={withdraw}>
      <span>{question}</span>
      <button ref={button} key="yes" type="button" className="button danger" disabled={disabled} onClick={confirm}>
        {label}
      </button>
      <button type="button" className="button" onClick={() => setAsking(false)}>
        Keep
      </button>
    </fieldset>
  );
}
