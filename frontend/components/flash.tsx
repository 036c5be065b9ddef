import { type ReactNode, useEffect, useRef } from "react";
import { direction } from "../format";

const FLASH_MS = 700;
/** A price that moves ten times a second would only flicker: it lights up again when the last light is gone. */
const PAUSE_MS = 900;
const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** Its content, lit up for a moment in the direction in which `value` has just moved. */
export function Flash({ value, children }: { value: number | null | undefined; children: ReactNode }) {
  const element = useRef<HTMLSpanElement>(null);
  const before = useRef(value);
  const lit = useRef(0);
  useEffect(() => {
    const moved = value != null && before.current != null ? direction(value - before.current) : "flat";
    before.current = value;
    if (moved === "flat" || calm() || Date.now() - lit.current < PAUSE_MS) return;
    lit.current = Date.now();
    element.current?.animate([{ backgroundColor: `var(--${moved}-glow)` }, { backgroundColor: "transparent" }], {
      duration: FLASH_MS,
      // A fade in a few steps is as soft to the eye, and a tenth of the painting when a dozen prices move.
      easing: "steps(6)",
    });
  }, [value]);
  return (
    <span ref={element} className="flash">
      {children}
    </span>
  );
}
