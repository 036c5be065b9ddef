import { expect, test } from "vitest";
import {
  blankDraft,
  changedBody,
  createdBody,
  type Delivery,
  type Destination,
  draftOf,
  outcomeOf,
  stateOf,
  typesWith,
} from "./destinations";

const NTFY: Destination = {
  id: 1,
  kind: "ntfy",
  name: "my phone",
  address: "ntfy.example.org/prices",
  config: { topic: "prices", server: "https://ntfy.example.org", token: "********" },
  min_priority: "low",
  types: ["alert"],
  enabled: true,
  verified: true,
  disabled_reason: "",
  failures: 0,
  paused_until: null,
  last_delivery: null,
};

function delivery(changes: Partial<Delivery>): Delivery {
  const none = { notification_id: null, next_attempt_at: null, attempted_at: null, sent_at: null };
  return {
    id: 1,
    destination: 1,
    destination_name: "my phone",
    kind: "ntfy",
    title: "Test from Tapehouse",
    test: true,
    status: "sent",
    due_at: "",
    attempts: 1,
    last_error: "",
    response: "",
    created_at: "",
    ...none,
    ...changes,
  };
}

test("a new one has a free name, and sends only what was filled in", () => {
  const draft = blankDraft("webhook", ["Webhook", "Webhook 2"]);
  expect(draft.name).toBe("Webhook 3");
  const typed = { ...draft, values: { url: " https://example.org/hook ", secret: "" } };
  expect(createdBody(typed)).toEqual({
    kind: "webhook",
    name: "Webhook 3",
    config: { url: "https://example.org/hook" },
    min_priority: "low",
    types: [],
  });
});

test("a change sends only what is otherwise, and no mask", () => {
  const draft = draftOf(NTFY);
  expect(draft.values).toEqual({ topic: "prices", server: "https://ntfy.example.org" });
  expect(changedBody(NTFY, draft)).toEqual({});
  expect(changedBody(NTFY, { ...draft, name: "phone", types: [] })).toEqual({ name: "phone", types: [] });
  expect(changedBody(NTFY, { ...draft, values: { ...draft.values, server: "", token: "tk" } })).toEqual({
    config: { server: null, token: "tk" },
  });
  expect(changedBody(NTFY, { ...draft, removed: ["token"] })).toEqual({ config: { token: null } });
  // What must be there goes empty, for the server to refuse by name.
  expect(changedBody(NTFY, { ...draft, values: { ...draft.values, topic: "" } })).toEqual({ config: { topic: "" } });
});

test.each([
  [{}, "Working"],
  [{ verified: false }, "Not verified"],
  [{ failures: 2 }, "Failing"],
  [{ last_delivery: { id: 1, status: "failed", at: "", error: "HTTP 500", test: true } } as const, "Failing"],
  [{ paused_until: "2026-01-01T00:00:05Z" }, "Pausing"],
  [{ paused_until: "2025-12-31T23:59:59Z" }, "Working"],
  [{ enabled: false }, "Off"],
  [{ enabled: false, disabled_reason: "HTTP 410" }, "Switched off"],
])("%j is told as %s", (changes, words) => {
  expect(stateOf({ ...NTFY, ...changes }, Date.parse("2026-01-01T00:00:00Z")).words).toBe(words);
});

test("a test is told in the words of whoever answered", () => {
  expect(outcomeOf(delivery({ response: "ok" })).words).toBe("Delivered. It answered “ok”.");
  const failed = delivery({ status: "failed", last_error: "HTTP 410", response: "gone" });
  expect(outcomeOf(failed)).toEqual({ tone: "bad", words: "Not delivered: HTTP 410. It answered “gone”." });
  expect(outcomeOf(delivery({ status: "failed", last_error: "It is closed." })).words).toBe(
    "Not delivered: It is closed.",
  );
});

test("a type that we don't know can still be chosen where it is named", () => {
  expect(typesWith(["alert", "mine"]).at(-1)).toEqual(["mine", "mine"]);
});
