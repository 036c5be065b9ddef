import { expect, test } from "vitest";
import { browserName, keyBytes } from "./webpush";

test("a key in URL-safe base64 is bytes", () => {
  expect([...keyBytes("BP-_")]).toEqual([4, 255, 191]);
  expect([...keyBytes("_w")]).toEqual([255]);
  expect(() => keyBytes("!")).toThrow();
});

test.each([
  ["Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"],
  ["Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0", "Edge on Windows"],
  ["Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36", "Chrome on Android"],
  ["Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1", "Safari on iPhone"],
  ["something else", "Browser"],
])("%s is %s", (agent, name) => {
  expect(browserName(agent)).toBe(name);
});
