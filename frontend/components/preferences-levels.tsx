import { typeLabel, typesWith } from "../destinations";
import { type Level, OTHERS } from "../preferences";
import { SelectField } from "./field";
import type { PartProps } from "./preferences";

const LEAST = [
  ["low", "Everything"],
  ["normal", "Normal and above"],
  ["high", "High and above"],
  ["critical", "Critical only"],
] as const;
const OF_TYPE = [["", "As others"], ...LEAST, ["muted", "Nothing"]] as const;

/** How urgent each type must be to go out at all. */
export function Levels({ draft, set, refusals }: PartProps) {
  const { levels } = draft;
  const put = (type: string, level: string) => set({ levels: { ...levels, [type]: level as Level } });
  const types = typesWith(Object.keys(levels).filter((type) => type !== OTHERS));
  return (
    <div className="levels">
      {types.map(([type]) => (
        <SelectField
          key={type}
          label={typeLabel(type)}
          value={levels[type] ?? ""}
          choices={OF_TYPE}
          error={refusals[`minimum_priority.${type}`]}
          change={(level) => put(type, level)}
        />
      ))}
      <SelectField
        label="All others"
        value={levels[OTHERS] ?? "low"}
        choices={LEAST}
        error={refusals[`minimum_priority.${OTHERS}`]}
        change={(level) => put(OTHERS, level)}
      />
    </div>
  );
}
