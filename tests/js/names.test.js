import assert from "node:assert/strict";
import { test } from "node:test";

import { People } from "../../static/js/names.js";
import { ann, bob, message, settled } from "./people.js";

const cyd = { id: 3, username: "cyd", display_name: "Cyd" };

/** The people whom ann knows; `asked` are the rooms whose members were asked for. */
function people(...members) {
  const asked = [];
  const changes = [];
  const fetch = async (roomId) => {
    asked.push(roomId);
    return { members: members.map((user) => ({ user, role: "member" })), next: null };
  };
  return { known: new People(ann, fetch, () => changes.push(1)), asked, changes };
}

const wrote = (author, id, name) => message(id, { author: { ...author, display_name: name } });

test("who is known by messages alone is called as in the newest of them, whichever page comes first", () => {
  const { known } = people();
  known.wrote([wrote(bob, 5, "Bobby"), wrote(bob, 9, "Robert")]);
  known.wrote([wrote(bob, 1, "Bob"), wrote(bob, 2, "Bob")]);
  assert.equal(known.get(bob.id).display_name, "Robert");
});

test("an old message never undoes a name that was told since", () => {
  const { known } = people();
  known.wrote([wrote(bob, 1, "Bob")]);
  const { version } = known;
  known.know({ ...bob, display_name: "Robert" });
  known.wrote([wrote(bob, 1, "Bob"), wrote(bob, 7, "Bob")]);
  assert.equal(known.get(bob.id).display_name, "Robert");
  assert.ok(known.version > version);
});

test("the members of a room are called as they are now, and are asked for once", async () => {
  const { known, asked } = people({ ...bob, display_name: "Robert" }, cyd);
  known.wrote([wrote(bob, 1, "Bob")]);
  known.meet(7);
  await known.meet(7);
  assert.deepEqual(asked, [7]);
  assert.equal(known.get(bob.id).display_name, "Robert");
  assert.deepEqual(known.in(7).map(({ id }) => id), [bob.id, cyd.id]);
});

test("after something may have been missed, the next look asks again and forgets nobody meanwhile", async () => {
  const { known, asked, changes } = people(bob);
  await known.meet(7);
  const drawn = changes.length;
  known.renew();
  assert.equal(changes.length, drawn + 1); // whoever draws looks
  const again = known.meet(7);
  assert.deepEqual(known.in(7), [bob]);
  await again;
  assert.deepEqual(asked, [7, 7]);
});

test("an answer that is on its way when something is missed is not asked for twice", async () => {
  const { known, asked } = people(bob);
  known.meet(7);
  known.renew();
  known.meet(7);
  await settled();
  assert.deepEqual(asked, [7]);
});

test("who leaves for ever leaves without a name", () => {
  const { known } = people();
  known.joined(7, bob);
  known.left(7, { ...bob, username: "deleted-2", display_name: "Deleted account" });
  assert.equal(known.get(bob.id).display_name, "Deleted account");
});
