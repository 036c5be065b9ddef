import { expect, test } from "vitest";
import { bodyOf, changes, draftOf, type Preferences } from "./preferences";

const DEFAULTS: Preferences = {
  time_zone: "UTC",
  quiet_hours: [],
  critical_breaks_through: true,
  digests: [],
  minimum_priority: {},
  muted_types: [],
  storm_max: null,
  storm_type_max: null,
  storm_minutes: null,
  quiet_until: null,
};
const OWN: Preferences = {
  ...DEFAULTS,
  time_zone: "Europe/Berlin",
  quiet_hours: [
    { start: "22:00", end: "07:00" },
    { days: ["sat", "sun"], start: "00:00", end: "24:00" },
  ],
  digests: [
    { types: ["signal"], up_to: "normal", every_minutes: 60 },
    { types: [], up_to: "low", at: ["08:00", "18:00"] },
  ],
  minimum_priority: { backfill: "high", "*": "normal" },
  muted_types: ["price_update"],
  storm_max: 5,
};

test.each([DEFAULTS, OWN])("what is kept comes back as it was", (kept) => {
  const { quiet_until, ...body } = kept;
  expect(bodyOf(draftOf(kept))).toEqual(body);
  expect(changes(kept, draftOf(kept))).toEqual({});
});

test("only what was changed is sent", () => {
  const draft = draftOf(OWN);
  expect(changes(OWN, { ...draft, time_zone: " UTC " })).toEqual({ time_zone: "UTC" });
  expect(changes(OWN, { ...draft, levels: { ...draft.levels, backfill: "muted", alert: "" } })).toEqual({
    minimum_priority: { "*": "normal" },
    muted_types: ["backfill", "price_update"],
  });
  expect(changes(OWN, { ...draft, storm_max: "", storm_minutes: "ten" })).toEqual({
    storm_max: null,
    storm_minutes: "ten",
  });
});

test("a clock that can't show 24:00 shows the next day's midnight", () => {
  const kept: Preferences = { ...DEFAULTS, quiet_hours: [{ start: "18:00", end: "24:00" }] };
  expect(draftOf(kept).quiet[0]).toMatchObject({ allDay: false, start: "18:00", end: "00:00" });
});

test("every day is no days, and times may be written as people do", () => {
  const draft = draftOf(OWN);
  const quiet = draft.quiet.map((each) => ({
    ...each,
    days: ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const,
  }));
  const [first, second] = draft.digests;
  if (first === undefined || second === undefined) throw new Error("two rules");
  const body = bodyOf({
    ...draft,
    quiet: quiet.map((each) => ({ ...each, days: [...each.days] })),
    digests: [
      { ...first, minutes: "" },
      { ...second, times: "8:00 ; 18:30" },
    ],
  });
  expect(body.quiet_hours).toEqual([
    { start: "22:00", end: "07:00" },
    { start: "00:00", end: "24:00" },
  ]);
  expect(body.digests).toEqual([
    { types: ["signal"], up_to: "normal", every_minutes: "" },
    { types: [], up_to: "low", at: ["08:00", "18:30"] },
  ]);
});
