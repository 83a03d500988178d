import assert from "node:assert/strict";
import { test } from "node:test";

import { Timeline } from "../../static/js/timeline.js";
import { Room, ann, bob, gate, message, settled } from "./people.js";

const UNREACHABLE = Object.assign(new Error("no network"), { passing: true, retryAfterMs: 60_000 });

const ids = (timeline) => timeline.messages.map(({ id }) => id);
const range = (from, to) => Array.from({ length: to - from + 1 }, (_, at) => from + at);

async function opened(count) {
  const room = new Room(count);
  const timeline = new Timeline(room.fetchPage, () => {});
  await timeline.load();
  return { room, timeline };
}

test("it begins with the newest page", async () => {
  const { timeline } = await opened(120);
  assert.deepEqual(ids(timeline), range(71, 120));
  assert.ok(timeline.hasOlder);
  assert.ok(!timeline.hasNewer);
});

test("a message comes once, in its order, however often it is told", async () => {
  const { timeline } = await opened(3);
  for (const id of [5, 4, 5]) timeline.add(message(id));
  assert.deepEqual(ids(timeline), [1, 2, 3, 4, 5]);
});

test("the first version of a message does not undo its changes", async () => {
  const { timeline } = await opened(3);
  timeline.update(message(3, { body: "edited", edited_at: "now" }));
  timeline.add(message(3)); // the answer to its sender, or a repeated event
  assert.equal(timeline.get(3).body, "edited");
});

test("through 50,000 messages and back it holds a few hundred, without a hole", async () => {
  const { timeline } = await opened(50_000);
  while (timeline.hasOlder) {
    await timeline.loadOlder();
    const first = ids(timeline)[0];
    assert.ok(timeline.messages.length <= 400);
    assert.deepEqual(ids(timeline), range(first, first + timeline.messages.length - 1));
  }
  assert.equal(ids(timeline)[0], 1);
  assert.ok(timeline.hasNewer);
  while (timeline.hasNewer) await timeline.loadNewer();
  assert.equal(ids(timeline).at(-1), 50_000);
  assert.ok(timeline.messages.length <= 400);
});

test("a jump shows what is around a message, and new ones wait for their page", async () => {
  const { room, timeline } = await opened(1_000);
  await timeline.loadAround(500);
  assert.deepEqual(ids(timeline), range(475, 524));
  assert.ok(timeline.hasOlder && timeline.hasNewer);
  room.messages.push(message(1_001));
  timeline.add(message(1_001));
  assert.equal(ids(timeline).at(-1), 524);
  await timeline.load();
  assert.equal(ids(timeline).at(-1), 1_001);
});

test("a jump that fails leaves everything where it was", async () => {
  const { room, timeline } = await opened(120);
  room.gate = Promise.reject(new Error("no network"));
  await assert.rejects(timeline.loadAround(5));
  assert.equal(timeline.state, "ready");
  assert.deepEqual(ids(timeline), range(71, 120));
});

test("a message that comes while the page before it is on its way is not lost", async () => {
  const { room, timeline } = await opened(100);
  await timeline.loadAround(40);
  assert.deepEqual(ids(timeline), range(15, 64));
  const shut = gate();
  room.gate = shut.promise;
  const loading = timeline.loadNewer(); // answered with 65 to 100, and nothing after
  room.messages.push(message(101));
  timeline.add(message(101));
  shut.resolve();
  await loading;
  assert.deepEqual(ids(timeline), range(15, 101));
});

test("a change that a page on its way does not know yet is made when it has come", async () => {
  const { room, timeline } = await opened(120);
  const shut = gate();
  room.gate = shut.promise;
  const loading = timeline.loadOlder();
  timeline.update(message(60, { body: "edited" }));
  timeline.react(61, "👍", bob.id);
  shut.resolve();
  await loading;
  assert.equal(timeline.get(60).body, "edited");
  assert.equal(timeline.get(61).reactions[0].count, 1);
});

test("of two loads only the later one counts", async () => {
  const { room, timeline } = await opened(1_000);
  const shut = gate();
  room.gate = shut.promise;
  const jump = timeline.loadAround(10);
  room.gate = Promise.resolve();
  await timeline.load();
  shut.resolve();
  await jump;
  assert.equal(ids(timeline).at(-1), 1_000);
});

test("older messages that fail to come can be asked for again", async () => {
  const { room, timeline } = await opened(120);
  room.gate = Promise.reject(new Error("no network"));
  await timeline.loadOlder();
  assert.equal(timeline.older, "failed");
  room.gate = Promise.resolve();
  await timeline.loadOlder();
  assert.deepEqual(ids(timeline), range(21, 120));
});

test("a load that waits for its next try makes it as soon as the network is back", async () => {
  const room = new Room(3);
  let away = true;
  const timeline = new Timeline(
    (where) => (away ? Promise.reject(UNREACHABLE) : room.fetchPage(where)),
    () => {},
  );
  const loading = timeline.load();
  await settled();
  assert.equal(timeline.state, "failed");
  away = false;
  timeline.wake();
  await settled();
  assert.equal(timeline.state, "ready");
  await loading;
});

test("a deletion is final", async () => {
  const { timeline } = await opened(3);
  timeline.update(message(2, { body: "", html: "", deleted_at: "now" }));
  timeline.update(message(2, { body: "an older edit" }));
  timeline.react(2, "👍", ann.id);
  assert.equal(timeline.get(2).body, "");
  assert.deepEqual(timeline.get(2).reactions, []);
});

test("a reader of the past is not followed by the present for ever", async () => {
  const { timeline } = await opened(120);
  for (let id = 121; id < 2_000; id += 1) timeline.add(message(id));
  assert.ok(timeline.messages.length <= 600);
  assert.ok(timeline.hasNewer);
});

test("who reads along keeps the newest few hundred", async () => {
  const { timeline } = await opened(120);
  for (let id = 121; id < 2_000; id += 1) {
    timeline.add(message(id));
    timeline.trim();
  }
  assert.ok(timeline.messages.length <= 400);
  assert.equal(ids(timeline).at(-1), 1_999);
});

test("renewed in the past, it stays near its place", async () => {
  const { timeline } = await opened(1_000);
  await timeline.loadAround(500);
  await timeline.renew();
  assert.deepEqual(ids(timeline), range(475, 524));
});
