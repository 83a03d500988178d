import assert from "node:assert/strict";
import { test } from "node:test";

import { Drafts } from "../../static/js/drafts.js";
import { Storage } from "../../static/js/storage.js";
import { FakeStorage } from "./people.js";

const drafts = (storage) => new Drafts(new Storage(() => storage), "draft.1");

test("each room has its draft, which the next page finds", () => {
  const storage = new FakeStorage();
  drafts(storage).set(7, { body: "to be continued", replyTo: 3 });
  assert.deepEqual(drafts(storage).get(7), { body: "to be continued", replyTo: 3 });
  assert.deepEqual(drafts(storage).get(8), { body: "", replyTo: null });
});

test("an empty one leaves nothing behind", () => {
  const storage = new FakeStorage();
  drafts(storage).set(7, { body: "x" });
  drafts(storage).set(7, { body: " " });
  assert.equal(storage.length, 0);
});

test("clearing takes the reader's own drafts and nothing else", () => {
  const storage = new FakeStorage();
  storage.setItem("draft.2.7", "somebody else's");
  for (const room of [7, 8, 9]) drafts(storage).set(room, { body: "x" });
  drafts(storage).clear();
  assert.equal(storage.length, 1);
});

test("without a storage a draft lives as long as the page", () => {
  const forbidden = new Drafts(new Storage(() => { throw new Error("SecurityError"); }), "draft.1");
  forbidden.set(7, { body: "here" });
  assert.equal(forbidden.get(7).body, "here");
  forbidden.clear();
  assert.equal(forbidden.get(7).body, "");
});

test("what somebody else wrote there is no draft and no error", () => {
  const storage = new FakeStorage();
  storage.setItem("draft.1.7", "{nonsense");
  assert.equal(drafts(storage).get(7).body, "");
});
