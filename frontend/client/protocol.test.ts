import { expect, test } from "vitest";
import { isFinal, named, parse } from "./protocol";

test("a batch is unfolded in order", () => {
  const text = `{"type":"batch","data":{"events":[
    {"type":"asset_update","topic":"price:BTC-USDT","data":{"price":1},"timestamp":"2026-01-28T10:30:01.123456Z"},
    {"type":"candle","topic":"candles:BTC-USDT:1m","data":{"close":1},"timestamp":"2026-01-28T10:30:01.123456Z"}
  ]},"timestamp":"2026-01-28T10:30:01.123456Z"}`;
  expect(parse(text).map(({ topic }) => topic)).toEqual(["price:BTC-USDT", "candles:BTC-USDT:1m"]);
});

test.each([
  "",
  "{",
  "null",
  "7",
  '"text"',
  "[]",
  "{}",
  '{"type":7,"data":{}}',
  '{"type":"pong"}',
  '{"type":"pong","data":null}',
  '{"type":"batch","data":{"events":{}}}',
])("what is no envelope says nothing: %s", (text) => {
  expect(parse(text)).toEqual([]);
});

test("40xx says: don't come back", () => {
  expect([4000, 4001, 4003, 4004, 4029].every(isFinal)).toBe(true);
  expect([1000, 1001, 1006, 1012, 4101, 4108, 4129].some(isFinal)).toBe(false);
});

test.each([
  ["price:btc-usd", "price:BTC-USD"],
  ["candles:btc:1m", "candles:BTC:1m"],
  ["portfolio:7", "portfolio:7"],
  ["notifications", "notifications"],
  ["news:crypto", "news:crypto"],
])("%s goes by %s", (asked, name) => {
  expect(named(asked)).toBe(name);
});
