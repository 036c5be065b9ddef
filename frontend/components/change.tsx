import { ARROWS, direction, percent, signed } from "../format";

/** A signed change: colour, arrow and sign say the same, so that no one of them has to be seen. */
export function Change({ value, as = "percent" }: { value: number | null | undefined; as?: "percent" | "money" }) {
  const way = direction(value);
  return (
    <span className={`change ${way}`}>
      <span className="arrow" aria-hidden="true">
        {ARROWS[way]}
      </span>
      {as === "percent" ? percent(value) : signed(value)}
    </span>
  );
}
