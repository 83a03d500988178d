import assert from "node:assert/strict";
import { test } from "node:test";

import { Rooms } from "../../static/js/rooms.js";

const room = (id, name, fields = {}) => ({
  id, name, visibility: "public", peer: null, last_id: 5, read_id: 5, unread: 0, mentions: 0, ...fields,
});
const direct = (id, name, fields = {}) => (
  room(id, "", { visibility: "direct", peer: { id, username: name, display_name: name }, ...fields })
);

test("a direct room stands where the other one's name belongs", () => {
  const rooms = new Rooms();
  rooms.replaceAll([room(1, "lobby"), direct(2, "bob"), room(3, "Ants")]);
  assert.deepEqual(rooms.sorted.map(({ id }) => id), [3, 2, 1]);
});

test("for the reader are all mentions, and every unread message of a direct room", () => {
  const rooms = new Rooms();
  rooms.replaceAll([room(1, "lobby", { unread: 7, mentions: 2 }), direct(2, "bob", { unread: 3 })]);
  assert.equal(rooms.unread, 10);
  assert.equal(rooms.forMe, 5);
});

test("what waits in the rooms that are not in view is counted without the one that is", () => {
  const rooms = new Rooms();
  rooms.replaceAll([
    room(1, "lobby", { unread: 7, mentions: 2 }), room(2, "tea", { unread: 4, mentions: 1 }), direct(3, "bob", { unread: 3 }),
  ]);
  assert.deepEqual(rooms.elsewhere(1), { unread: 7, mentions: 1, directs: 3 });
  assert.deepEqual(rooms.elsewhere(null), { unread: 14, mentions: 3, directs: 3 });
});

test("an answer that is older than what the stream told changes no count", () => {
  const rooms = new Rooms();
  rooms.replaceAll([room(1, "lobby", { last_id: 9, unread: 4, mentions: 1 })]);
  rooms.put(room(1, "renamed", { last_id: 8, unread: 3 }));
  const { name, last_id: lastId, unread, mentions } = rooms.get(1);
  assert.deepEqual({ name, lastId, unread, mentions }, { name: "renamed", lastId: 9, unread: 4, mentions: 1 });
});

test("an event that was counted is not news when it comes again", () => {
  const rooms = new Rooms();
  rooms.replaceAll([room(1, "lobby")]);
  assert.equal(rooms.advance(1, 6), true);
  assert.equal(rooms.advance(1, 6), false);
  assert.equal(rooms.advance(2, 1), false);
});

test("a direct room is called by the other one's new name, and stands where that belongs", () => {
  const rooms = new Rooms();
  rooms.replaceAll([room(1, "lobby"), direct(2, "bob"), direct(3, "cyd")]);
  rooms.rename({ id: 2, username: "bob", display_name: "Zoe" });
  assert.deepEqual(rooms.sorted.map(({ peer, name }) => peer?.display_name ?? name), ["cyd", "lobby", "Zoe"]);
});
