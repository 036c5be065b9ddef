import { expect, test } from "vitest";
import { age, percent, price, quantity, signed } from "./format";

test.each([
  [64231.5, "64,231.50"],
  [38.25, "38.25"],
  [1.08452, "1.08452"],
  [0.05123, "0.051230"],
  [0.00000005, "0.000000050000"],
  [0, "0.00"],
])("a price has the decimals that suit its size: %d", (value, text) => {
  expect(price(value)).toBe(text);
});

test("what is not known is a dash, never a zero", () => {
  expect([price(null), percent(undefined), signed(null)]).toEqual(["–", "–", "–"]);
});

test("a change carries its sign, nothing has none", () => {
  expect([1.239, -1.2, 0, 0.001, -0.001].map((value) => percent(value))).toEqual([
    "+1.24%",
    "−1.20%",
    "0.00%",
    "0.00%",
    "0.00%",
  ]);
});

test("quantities show what there is", () => {
  expect([quantity(10_000), quantity("0.42"), quantity(1e-8)]).toEqual(["10,000", "0.42", "0.00000001"]);
});

test("ages in the largest unit that fits", () => {
  expect([0, 999, 1000, 59_999, 60_000, 3_600_000, 90_000_000].map(age)).toEqual([
    "now",
    "now",
    "1 s",
    "59 s",
    "1 min",
    "1 h",
    "1 d",
  ]);
});
