import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";

import { Presence } from "../../static/js/presence.js";

test("a room is asked for once, and then followed by diffs", async () => {
  let asked = 0;
  const presence = new Presence(0, async () => ({ user_ids: [(asked += 1)] }), () => {});
  presence.look(7);
  presence.look(7);
  await setImmediate();
  assert.equal(asked, 1);
  assert.equal(presence.has(1), true);
  presence.hear({ type: "presence", data: { room_id: 7, user_id: 1, online: false } });
  presence.hear({ type: "presence", data: { room_id: 7, user_id: 2, online: true } });
  assert.equal(presence.has(1), false);
  assert.equal(presence.has(2), true);
});

test("after a break everything is asked anew, and who went meanwhile is offline", async () => {
  let online = [1, 2];
  const presence = new Presence(0, async () => ({ user_ids: online }), () => {});
  presence.look(7);
  await setImmediate();
  online = [2];
  presence.hear({ type: "ready", data: {} });
  await setImmediate();
  assert.equal(presence.has(1), false);
  assert.equal(presence.has(2), true);
});

test("a question that failed is asked again at the next look", async () => {
  let fails = true;
  const presence = new Presence(0, async () => {
    if (fails) throw new Error("no network");
    return { user_ids: [1] };
  }, () => {});
  presence.look(7);
  await setImmediate();
  fails = false;
  presence.look(7);
  await setImmediate();
  assert.equal(presence.has(1), true);
});

test("the reader is online, whoever asked for what when", () => {
  const presence = new Presence(7, async () => ({ user_ids: [] }), () => {});
  presence.hear({ type: "presence", data: { room_id: 1, user_id: 7, online: false } });
  assert.equal(presence.has(7), true);
  assert.equal(presence.has(8), false);
});
