import { blankQuiet, DAYS, type QuietDraft } from "../preferences";
import { Chips } from "./chips";
import { CheckField, TextField } from "./field";
import { Icon } from "./icons";
import type { PartProps } from "./preferences";

/** The hours in which nothing disturbs: what is due then waits for their end. */
export function QuietHours({ draft, set, refusals }: PartProps) {
  const { quiet } = draft;
  const put = (key: number, some: Partial<QuietDraft>) =>
    set({ quiet: quiet.map((each) => (each.key === key ? { ...each, ...some } : each)) });
  return (
    <>
      {quiet.map((each, index) => (
        <fieldset key={each.key} className="rule" aria-label={`Quiet hours ${index + 1}`}>
          <Chips
            legend="On"
            hint="None chosen: every day."
            error={refusals[`quiet_hours.${index}.days`]}
            choices={DAYS}
            chosen={each.days}
            change={(days) => put(each.key, { days })}
          />
          <div className="times">
            {!each.allDay && (
              <>
                <TextField
                  label="From"
                  type="time"
                  value={each.start}
                  error={refusals[`quiet_hours.${index}.start`]}
                  change={(start) => put(each.key, { start })}
                />
                <TextField
                  label={each.end <= each.start ? "To, the next day" : "To"}
                  type="time"
                  value={each.end}
                  error={refusals[`quiet_hours.${index}.end`]}
                  change={(end) => put(each.key, { end })}
                />
              </>
            )}
            <CheckField label="All day" checked={each.allDay} change={(allDay) => put(each.key, { allDay })} />
          </div>
          <button
            type="button"
            className="icon-button rule-drop"
            aria-label={`Remove quiet hours ${index + 1}`}
            onClick={() => set({ quiet: quiet.filter(({ key }) => key !== each.key) })}
          >
            <Icon name="close" size={14} />
          </button>
        </fieldset>
      ))}
      {refusals.quiet_hours !== undefined && <p className="field-error">{refusals.quiet_hours}</p>}
      <button
        type="button"
        className="button add"
        onClick={() => set({ quiet: [...quiet, blankQuiet(nextKey(quiet))] })}
      >
        <Icon name="plus" size={14} />
        Add quiet hours
      </button>
    </>
  );
}

/** One that no row of the page has had: what is taken away takes its fields with it. */
export function nextKey(rows: readonly { key: number }[]): number {
  return Math.max(-1, ...rows.map(({ key }) => key)) + 1;
}
