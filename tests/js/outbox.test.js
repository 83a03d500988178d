import assert from "node:assert/strict";
import { test } from "node:test";

import { Outbox } from "../../static/js/outbox.js";
import { Storage } from "../../static/js/storage.js";
import { FakeStorage, message, settled } from "./people.js";

const REFUSED = Object.assign(new Error("Not at this hour."), { passing: false });
const UNREACHABLE = Object.assign(new Error("no network"), { passing: true, retryAfterMs: 0 });

function outbox({ storage = new FakeStorage(), post }) {
  const sent = [];
  const posts = [];
  const made = new Outbox(new Storage(() => storage), "outbox", {
    post: async (roomId, body) => {
      posts.push({ roomId, ...body });
      return post(body, posts.length);
    },
    onsent: (answer) => sent.push(answer.id),
    onchange: () => {},
  });
  return { outbox: made, storage, sent, posts };
}

test("messages of a room go out one by one, in their order, and are gone when answered", async () => {
  const { outbox: mine, posts, sent, storage } = outbox({ post: (_, n) => message(n) });
  for (const body of ["one", "two", "three"]) mine.add(7, body);
  assert.equal(posts.length, 1);
  await settled();
  assert.deepEqual(posts.map(({ body }) => body), ["one", "two", "three"]);
  assert.deepEqual(sent, [1, 2, 3]);
  assert.deepEqual(mine.of(7), []);
  assert.equal(storage.length, 0);
});

test("a lost answer is asked for again under the same name", async () => {
  const { outbox: mine, posts } = outbox({
    post: (_, n) => (n === 1 ? Promise.reject(UNREACHABLE) : message(n)),
  });
  mine.add(7, "hello", 3);
  await settled();
  assert.equal(mine.of(7)[0].state, "pending");
  mine.wake();
  await settled();
  assert.equal(posts.length, 2);
  assert.equal(posts[0].client_id, posts[1].client_id);
  assert.equal(posts[1].reply_to, 3);
  assert.deepEqual(mine.of(7), []);
});

test("what is refused stays with its reason, lets others pass, and can be tried again", async () => {
  let open = false;
  const { outbox: mine, posts } = outbox({
    post: ({ body }, n) => (body === "bad" && !open ? Promise.reject(REFUSED) : message(n)),
  });
  mine.add(7, "bad");
  mine.add(7, "good");
  await settled();
  const [failed] = mine.of(7);
  assert.deepEqual([failed.state, failed.reason, posts.length], ["failed", "Not at this hour.", 2]);
  open = true;
  mine.again(failed.client_id);
  await settled();
  assert.deepEqual(mine.of(7), []);
});

test("what was not answered goes out from the next page, under the same name", async () => {
  const first = outbox({ post: () => new Promise(() => {}) });
  first.outbox.add(7, "from beyond");
  const second = outbox({ storage: first.storage, post: (_, n) => message(n) });
  second.outbox.restore();
  await settled();
  assert.equal(second.posts[0].client_id, first.posts[0].client_id);
  assert.equal(first.storage.length, 0);
});

test("what was written long ago waits to be asked for", async () => {
  const first = outbox({ post: () => new Promise(() => {}) });
  first.outbox.add(7, "good morning");
  const second = outbox({ storage: first.storage, post: (_, n) => message(n) });
  second.outbox.restore(Date.now() + 3_600_000);
  await settled();
  assert.equal(second.posts.length, 0);
  assert.equal(second.outbox.of(7)[0].state, "failed");
});

test("two tabs keep each other's messages, and follow what the other settles", async () => {
  const ann = outbox({ post: () => new Promise(() => {}) });
  const twin = outbox({ storage: ann.storage, post: () => new Promise(() => {}) });
  ann.outbox.add(7, "here");
  twin.outbox.restore();
  twin.outbox.add(7, "there");
  assert.equal(JSON.parse(ann.storage.getItem("outbox")).length, 2);
  const [here] = ann.outbox.of(7);
  ann.outbox.settle(here.client_id);
  twin.outbox.follow();
  assert.deepEqual(twin.outbox.of(7).map(({ body }) => body), ["there"]);
});

test("a storage that is full or forbidden costs nothing but the reload", async () => {
  const full = { getItem: () => null, setItem: () => { throw new Error("full"); }, removeItem: () => {} };
  const { outbox: mine, posts } = outbox({ storage: full, post: (_, n) => message(n) });
  mine.add(7, "hello");
  await settled();
  assert.equal(posts.length, 1);
  assert.deepEqual(mine.of(7), []);
});
