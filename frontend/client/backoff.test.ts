import { expect, test } from "vitest";
import { delayMs } from "./backoff";

const backoff = { baseMs: 500, capMs: 20_000 };

test("the range doubles with each attempt and ends at the cap", () => {
  const almost = 0.999999;
  const longest = [0, 1, 2, 3, 4, 5, 6, 60].map((attempt) => delayMs(attempt, almost, backoff));
  expect(longest).toEqual([499, 999, 1999, 3999, 7999, 15_999, 19_999, 19_999]);
});

test("full jitter: any wait within the range may be drawn, none at all too", () => {
  expect(delayMs(3, 0, backoff)).toBe(0);
  expect(delayMs(3, 0.5, backoff)).toBe(2000);
});
