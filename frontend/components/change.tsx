import { ARROWS, direction, percent, signed } from "../format";

/** A signed change: colour, arrow and sign say the same, so that no one of them has to be seen. */
export function Change({ value, as = "percent" }: { value: number | null | undefined; as?: "percent" | "money" }) {
  const text = as === "percent" ? percent(value) : signed(value);
  // What rounds to nothing has gone nowhere.
  const way = /[1-9]/.test(text) ? direction(value) : "flat";
  return (
    <span className={`change ${way}`}>
      <span className="arrow" aria-hidden="true">
        {ARROWS[way]}
      </span>
      {text}
    </span>
  );
}
