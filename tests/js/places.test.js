import assert from "node:assert/strict";
import { test } from "node:test";

import { fit, places } from "../../static/js/places.js";

const room = (id, name, fields = {}) => (
  { id, name, visibility: "public", peer: null, unread: 0, mentions: 0, ...fields }
);
const names = (found) => found.map(({ name, peer }) => name || peer.display_name);

test("a name fits by its beginning, by one of its words, or by a part; case and accents aside", () => {
  assert.equal(fit("Café talk", "cafe"), 0);
  assert.equal(fit("Café talk", "TA"), 1);
  assert.equal(fit("Café talk", "fé"), 2);
  assert.equal(fit("Café talk", "tea"), -1);
});

test("the better a name fits, the higher it stands", () => {
  const rooms = [room(1, "old design"), room(2, "redesign"), room(3, "design"), room(4, "lobby")];
  assert.deepEqual(names(places(rooms, "des")), ["design", "old design", "redesign"]);
});

test("a direct room is found by the other one's name and username", () => {
  const peer = { id: 9, username: "stone", display_name: "Bob" };
  const rooms = [room(1, "", { visibility: "direct", peer })];
  assert.deepEqual(names(places(rooms, "bo")), ["Bob"]);
  assert.deepEqual(names(places(rooms, "sto")), ["Bob"]);
});

test("without a word what is meant for the reader comes first, then what is new, then what was open last", () => {
  const rooms = [
    room(1, "a"), room(2, "b", { unread: 2 }), room(3, "c", { unread: 1, mentions: 1 }), room(4, "d"),
  ];
  assert.deepEqual(names(places(rooms, "", [4])), ["c", "b", "d", "a"]);
});
