import assert from "node:assert/strict";
import { test } from "node:test";

import { invites, outranks } from "../../static/js/ranks.js";
import { Roster } from "../../static/js/roster.js";

const member = (id, name, role) => ({ user: { id, display_name: name }, role });

test("owners stand first, then moderators, then members, each by name", () => {
  const roster = new Roster();
  roster.add([member(1, "Zoe", "member"), member(2, "Ann", "member"), member(3, "Bob", "moderator"), member(4, "Cid", "owner")]);
  assert.deepEqual(roster.sorted.map(({ user }) => user.display_name), ["Cid", "Bob", "Ann", "Zoe"]);
});

test("who joins, gets a role or leaves changes the list", () => {
  const roster = new Roster();
  roster.hear("member.join", member(1, "Ann", "member"));
  roster.hear("member.update", member(1, "Ann", "moderator"));
  assert.equal(roster.get(1).role, "moderator");
  roster.hear("member.leave", member(1, "Ann", "moderator"));
  assert.deepEqual(roster.sorted, []);
});

test("moderators rule members, owners all but owners, and nobody their equals", () => {
  assert.equal(outranks("moderator", "member"), true);
  assert.equal(outranks("moderator", "moderator"), false);
  assert.equal(outranks("owner", "moderator"), true);
  assert.equal(outranks("owner", "owner"), false);
  assert.equal(outranks("member", null), false);
});

test("everybody invites into a public room, moderators into a private one, nobody into a closed one", () => {
  const room = { role: "member", visibility: "public", archived: false };
  assert.equal(invites(room), true);
  assert.equal(invites({ ...room, visibility: "private" }), false);
  assert.equal(invites({ ...room, visibility: "private", role: "moderator" }), true);
  assert.equal(invites({ ...room, visibility: "direct" }), false);
  assert.equal(invites({ ...room, archived: true }), false);
});
