import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { Notify, meantFor } from "../../static/js/notify.js";

const ann = { id: 1, display_name: "Ann" };
const bob = { id: 2, display_name: "Bob" };
const lobby = { id: 7, name: "lobby", visibility: "public", read_id: 0 };
const message = (fields = {}) => (
  { id: 3, room_id: 7, author: bob, body: "hi", mentions: [], ...fields }
);

function stage({ room = () => lobby, speaks = true, attended = false, permission = "granted" } = {}) {
  const shown = [];
  const kept = new Map();
  const storage = { get: (key) => kept.get(key) ?? null, set: (key, value) => kept.set(key, value) };
  const browser = class {
    static permission = permission;
    static async requestPermission() {
      return permission;
    }
    constructor(title, options) {
      shown.push({ title, ...options });
    }
    close() {
      shown.push("closed");
    }
  };
  const on = { room, speaks: () => speaks, attended: () => attended, open: () => {} };
  return { notify: new Notify(ann, storage, on, browser), shown };
}

async function hear({ notify, shown }, data) {
  mock.timers.enable({ apis: ["setTimeout"] });
  await notify.want(true);
  notify.hear({ type: "message", data });
  mock.timers.tick(2_000);
  mock.timers.reset();
  return shown;
}

test("meant for the reader are mentions and direct messages, and nothing of their own", () => {
  const direct = { ...lobby, visibility: "direct" };
  assert.equal(meantFor(ann, message(), lobby), false);
  assert.equal(meantFor(ann, message({ mentions: [1] }), lobby), true);
  assert.equal(meantFor(ann, message(), direct), true);
  assert.equal(meantFor(ann, message({ author: ann }), direct), false);
});

test("a mention is told with its author, its room and the beginning of its text", async () => {
  const [{ title, body }] = await hear(stage(), message({ mentions: [1], body: "x".repeat(500) }));
  assert.equal(title, "Bob in lobby");
  assert.equal(body.length, 140);
});

test("nothing is told of what is read, in view, or another tab's to tell, nor without permission", async () => {
  const mention = message({ mentions: [1] });
  assert.deepEqual(await hear(stage({ room: () => ({ ...lobby, read_id: 3 }) }), mention), []);
  assert.deepEqual(await hear(stage({ attended: true }), mention), []);
  assert.deepEqual(await hear(stage({ speaks: false }), mention), []);
  assert.deepEqual(await hear(stage({ permission: "denied" }), mention), []);
});

test("the first message of a room that is new to the reader is told once the room is known", async () => {
  const direct = { ...lobby, visibility: "direct" };
  for (const [arrived, told] of [[direct, ["Bob"]], [lobby, []], [undefined, []]]) {
    const known = [undefined, arrived]; // while it is heard, and when it is told
    const shown = await hear(stage({ room: () => known.shift() }), message());
    assert.deepEqual(shown.map(({ title }) => title), told);
  }
});

test("what is read elsewhere is withdrawn", async () => {
  const all = stage();
  await hear(all, message({ mentions: [1] }));
  all.notify.hear({ type: "read", data: { room_id: 7, user_id: 1, id: 3 } });
  assert.equal(all.shown.at(-1), "closed");
});
