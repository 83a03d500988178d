import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { suggest, wordAt } from "../../static/js/completion.js";
import { Gaps } from "../../static/js/gaps.js";
import { firstEmoji, react, unreact } from "../../static/js/reactions.js";
import { rows } from "../../static/js/rows.js";
import { Telling, Typing, sentence } from "../../static/js/typing.js";
import { ann, bob, message } from "./people.js";

const kinds = (list) => list.map(({ kind, message: { id } = {} }) => id ?? kind);
const timeline = (messages, fields = {}) => ({ state: "ready", older: "idle", newer: "idle", messages, ...fields });

// Rows

test("messages of one author within minutes share a byline, and each day has a head", () => {
  const late = new Date(Date.UTC(2026, 0, 5)).toISOString();
  const list = rows({
    timeline: timeline([message(1), message(2), message(3, { author: bob }), message(4, { created_at: late })]),
    pending: [], mark: null, me: ann,
  });
  assert.deepEqual(kinds(list), ["start", "day", 1, 2, 3, "day", 4]);
  assert.deepEqual(list.filter(({ grouped }) => grouped).map((row) => row.message.id), [2]);
});

test("a line stands above the first new message, if that is loaded", () => {
  const list = (mark, fields) => kinds(rows({ timeline: timeline([message(5), message(6)], fields), pending: [], mark, me: ann }));
  assert.deepEqual(list(5), ["start", "day", 5, "new", 6]);
  assert.deepEqual(list(2, { hasOlder: true }), ["older", "day", 5, 6]);
});

test("what is not confirmed stands at the end once, and only where the end is", () => {
  const pending = [{ client_id: "a", created_at: message(6).created_at }, { client_id: "b", created_at: message(7).created_at }];
  const messages = [message(5), message(6, { client_id: "a" })];
  const list = (fields) => kinds(rows({ timeline: timeline(messages, fields), pending, mark: null, me: ann }));
  assert.deepEqual(list(), ["start", "day", 5, 6, "message"]);
  assert.deepEqual(list({ hasNewer: true }), ["start", "day", 5, 6, "newer"]);
});

test("a reply has its quote and a byline of its own", () => {
  const [, , , row] = rows({
    timeline: timeline([message(1), message(2, { reply_to: 1 })]), pending: [], mark: null, me: ann, quote: (id) => `quote of ${id}`,
  });
  assert.deepEqual([row.quote, row.grouped], ["quote of 1", false]);
});

// Reactions

test("reacting twice is reacting once, and taking it back leaves nothing", () => {
  const once = react(message(1), "👍", 1);
  assert.equal(react(once, "👍", 1), once);
  const both = react(once, "👍", 2);
  assert.deepEqual(both.reactions, [{ emoji: "👍", count: 2, user_ids: [1, 2] }]);
  assert.deepEqual(unreact(unreact(both, "👍", 1), "👍", 2).reactions, []);
});

test("the first picture of a text is an emoji, and a word is none", () => {
  assert.deepEqual([" 🦩 ", "👩🏽‍🚀x", "🇳🇴", "1️⃣", "ok", "", "1"].map(firstEmoji), ["🦩", "👩🏽‍🚀", "🇳🇴", "1️⃣", "", "", ""]);
});

// Names

test("a name is completed where an @ begins a word", () => {
  const typed = (text) => wordAt(text, text.length)?.typed;
  assert.deepEqual(["@", "hi @bo", "(@x.y", "a@b", "@bo b"].map(typed), ["", "bo", "x.y", undefined, undefined]);
});

test("usernames come before names, and case is no matter", () => {
  const people = [{ username: "zoe", display_name: "Bo Derek" }, { username: "bobby", display_name: "Z" }, { username: "ann", display_name: "A" }];
  assert.deepEqual(suggest(people, "BO").map(({ username }) => username), ["bobby", "zoe"]);
});

// Gaps

test("a number that is left out is a gap, and edits count although they have none", () => {
  const gaps = new Gaps();
  const event = (type, id) => ({ type, data: { room_id: 7, id } });
  assert.equal(gaps.before(event("message", 11), 10), false);
  assert.equal(gaps.before(event("message.update", 3), 11), false); // number 12
  assert.equal(gaps.before(event("reaction.add", 13), 11), false);
  assert.equal(gaps.before(event("message", 12), 13), false); // a repetition
  assert.equal(gaps.before(event("message", 15), 13), true);
  assert.equal(gaps.before(event("read", 99), 15), false);
});

// Typing

test("who types is named until the time is over or the message is there", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const typing = new Typing(() => {});
  typing.hear({ room_id: 7, user_id: 1, expires_s: 6 });
  mock.timers.tick(4_000);
  typing.hear({ room_id: 7, user_id: 1, expires_s: 6 });
  typing.hear({ room_id: 7, user_id: 2, expires_s: 6 });
  mock.timers.tick(4_000);
  assert.deepEqual(typing.in(7), [1, 2]);
  typing.stop(7, 2);
  assert.deepEqual(typing.in(7), [1]);
  mock.timers.tick(2_000);
  assert.deepEqual(typing.in(7), []);
  mock.timers.reset();
});

test("typing is told once in three seconds, and anew after a send", () => {
  const told = [];
  const telling = new Telling(async (roomId) => told.push(roomId));
  telling.typed(7, 0);
  telling.typed(7, 2_000);
  telling.typed(7, 3_000);
  telling.sent(7);
  telling.typed(7, 3_001);
  assert.equal(told.length, 3);
});

test("more than two who type are several", () => {
  assert.deepEqual([[], ["Ann"], ["Ann", "Bob"], ["Ann", "Bob", "Cat"]].map(sentence), [
    "", "Ann is typing…", "Ann and Bob are typing…", "Several people are typing…",
  ]);
});
