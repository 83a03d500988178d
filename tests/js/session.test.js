import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { Session } from "../../static/js/session.js";
import { ann, bob, message } from "./people.js";

// A server that has what `answers` says, by path.

const room = { id: 7, name: "lobby", visibility: "public", member_count: 2, last_id: 2, read_id: 2, unread: 0, mentions: 0 };
const real = globalThis.fetch;
let answers;
let asked;

beforeEach(() => {
  asked = [];
  answers = { "/api/chat/rooms": { rooms: [{ ...room }], next: null, cursor: "c1" } };
  globalThis.fetch = async (path) => {
    asked.push(path);
    const answer = answers[path.split("?")[0]];
    return Response.json(answer ?? { code: "not_found" }, { status: answer ? 200 : 404 });
  };
});

afterEach(() => {
  globalThis.fetch = real;
});

async function session() {
  const made = new Session({ ...ann }, { attended: () => false, onchange: () => {}, onremoved: () => {} });
  assert.equal(await made.load(), "c1");
  asked = [];
  return made;
}

const said = (id, fields = {}) => ({ type: "message", data: message(id, { author: bob, ...fields }) });

test("only a reset moves the stream to another place", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const mine = await session();
  const events = [
    ["ready", { cursor: "c2", rooms: [{ id: 7, last_id: 2 }] }], ["heartbeat", {}],
    ["missed", { room_id: null }], ["missed", { room_id: 7 }], ["typing", { room_id: 7, user_id: 2 }],
    ["read", { room_id: 7, user_id: 1, id: 2 }], ["user.update", bob], ["invitation.remove", { id: 1, room_id: 9 }],
  ];
  for (const [type, data] of events) assert.equal(await mine.receive({ type, data }), undefined, type);
  assert.equal(await mine.receive(said(3)), undefined);
  answers["/api/chat/rooms"].cursor = "c3";
  assert.equal(await mine.receive({ type: "reset", data: { room_id: null } }), "c3");
});

test("a number that is missing makes it ask for the room, and none that is there does", async () => {
  const mine = await session();
  await mine.receive(said(3));
  assert.deepEqual([mine.rooms.get(7).unread, asked], [1, []]);
  answers["/api/chat/rooms/7"] = { ...room, joined: true, last_id: 5, unread: 3 };
  await mine.receive(said(5));
  assert.equal(mine.rooms.get(7).unread, 3);
  assert.deepEqual(asked, ["/api/chat/rooms/7"]);
});

test("what comes while a new room is asked for is counted where the answer is older, once", async () => {
  const mine = await session();
  let answer;
  globalThis.fetch = () => new Promise((resolve) => {
    answer = () => resolve(Response.json({ ...room, id: 8, joined: true, last_id: 1, read_id: 0 }));
  });
  const events = [{ type: "room.added", data: { room_id: 8 } }, ...[1, 2, 3].map((id) => said(id, { room_id: 8 }))];
  const received = events.map((event) => mine.receive(event));
  answer();
  await Promise.all(received);
  assert.deepEqual([mine.rooms.get(8).unread, mine.rooms.get(8).last_id], [2, 3]);
});

test("who is not in the room that an event came from is told nothing of it", async () => {
  const mine = await session();
  await mine.receive(said(3, { room_id: 9 }));
  assert.equal(mine.rooms.get(9), undefined);
});

test("the end of an invitation is no news of a room", async () => {
  const mine = await session();
  await mine.receive({ type: "invitation.remove", data: { id: 1, room_id: 9 } });
  await mine.receive({ type: "invitation.remove", data: { id: 99, room_id: 7 } });
  assert.deepEqual(asked, []);
  assert.equal(mine.rooms.get(7).last_id, 2);
});

const page = () => ({ messages: [message(2)], has_more_before: false, has_more_after: false });

test("the room that is opened comes with its messages, before the stream begins", async () => {
  const made = new Session({ ...ann }, { attended: () => false, onchange: () => {}, onremoved: () => {} });
  answers["/api/chat/rooms"].opened = page();
  await made.load(7);
  made.enter(7);
  assert.deepEqual(asked, ["/api/chat/rooms?joined=true&limit=200&open=7"]);
  assert.deepEqual([made.timeline(7).state, made.timeline(7).messages.length], ["ready", 1]);
  await made.receive(said(3));
  assert.deepEqual(made.timeline(7).messages.map(({ id }) => id), [2, 3]);
});

test("messages of a room that is not in the list are not kept for later", async () => {
  const made = new Session({ ...ann }, { attended: () => false, onchange: () => {}, onremoved: () => {} });
  answers["/api/chat/rooms"] = { rooms: [], next: null, cursor: "c1", opened: page() };
  await made.load(7);
  answers["/api/chat/rooms/7/messages"] = page();
  assert.equal(made.timeline(7).state, "loading");
});

test("the list goes on to its end, and the stream begins at its first page", async () => {
  const made = new Session({ ...ann }, { attended: () => false, onchange: () => {}, onremoved: () => {} });
  globalThis.fetch = async (path) => {
    asked.push(path);
    const rest = path.includes("after=");
    return Response.json({ rooms: [{ ...room, id: rest ? 8 : 7 }], next: rest ? null : "n", cursor: rest ? "c2" : "c1", opened: rest ? null : page() });
  };
  assert.equal(await made.load(7), "c1");
  assert.deepEqual(made.rooms.ids, [7, 8]);
  assert.deepEqual(asked.map((path) => path.split("limit=200")[1]), ["&open=7", "&after=n"]);
  assert.equal(made.timeline(7).state, "ready");
});
