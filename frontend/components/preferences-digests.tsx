import { typesWith } from "../destinations";
import { blankDigest, type DigestDraft } from "../preferences";
import { Chips } from "./chips";
import { PRIORITIES, Segments, SelectField, TextField } from "./field";
import { Icon } from "./icons";
import type { PartProps } from "./preferences";
import { nextKey } from "./preferences-quiet";

const WAYS = [
  ["every", "After a while"],
  ["at", "At times of the day"],
] as const;

/** What comes together instead of one by one. */
export function Digests({ draft, set, refusals }: PartProps) {
  const { digests } = draft;
  const put = (key: number, some: Partial<DigestDraft>) =>
    set({ digests: digests.map((each) => (each.key === key ? { ...each, ...some } : each)) });
  return (
    <>
      <p className="muted">What comes together instead of one by one. What is more urgent comes at once.</p>
      {digests.map((each, index) => (
        <fieldset key={each.key} className="rule" aria-label={`Summary ${index + 1}`}>
          <Chips
            legend="Of"
            hint="None chosen: of every type, each by itself."
            error={refusals[`digests.${index}.types`]}
            choices={typesWith(each.types)}
            chosen={each.types}
            change={(types) => put(each.key, { types })}
          />
          <div className="times">
            <SelectField
              label="Up to priority"
              value={each.up_to}
              choices={PRIORITIES}
              change={(up_to) => put(each.key, { up_to: up_to as DigestDraft["up_to"] })}
            />
            <Segments
              legend="When"
              labelled
              name={`how-${each.key}`}
              value={each.how}
              choices={WAYS}
              change={(how) => put(each.key, { how })}
            />
            {each.how === "every" ? (
              <TextField
                label="After the first, wait"
                type="number"
                unit="min"
                value={each.minutes}
                error={refusals[`digests.${index}.every_minutes`]}
                change={(minutes) => put(each.key, { minutes })}
              />
            ) : (
              <TextField
                label="At"
                placeholder="08:00, 18:00"
                value={each.times}
                error={timesError(refusals, index)}
                change={(times) => put(each.key, { times })}
              />
            )}
          </div>
          <button
            type="button"
            className="icon-button rule-drop"
            aria-label={`Remove summary ${index + 1}`}
            onClick={() => set({ digests: digests.filter(({ key }) => key !== each.key) })}
          >
            <Icon name="close" size={14} />
          </button>
        </fieldset>
      ))}
      <button
        type="button"
        className="button add"
        onClick={() => set({ digests: [...digests, blankDigest(nextKey(digests))] })}
      >
        <Icon name="plus" size={14} />
        Add a summary
      </button>
    </>
  );
}

/** Of the list, or of one time in it. */
function timesError(refusals: PartProps["refusals"], index: number): string | undefined {
  const place = `digests.${index}.at`;
  return Object.entries(refusals).find(([each]) => each === place || each.startsWith(`${place}.`))?.[1];
}
