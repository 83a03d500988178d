// What the tests of the modules share: ann, bob, their messages, and a room that serves pages.

export const ann = { id: 1, username: "ann", display_name: "Ann" };
export const bob = { id: 2, username: "bob", display_name: "Bob" };

export function message(id, fields = {}) {
  return {
    id, room_id: 7, author: ann, body: `message ${id}`, html: `<p>message ${id}</p>`,
    created_at: new Date(Date.UTC(2026, 0, 1, 12) + id * 1_000).toISOString(),
    edited_at: null, deleted_at: null, client_id: null, reply_to: null, reactions: [], mentions: [], ...fields,
  };
}

/** A room as the server has it; `fetchPage` answers at once, or when `gate` opens. */
export class Room {
  gate = Promise.resolve();
  asked = [];

  constructor(count) {
    this.messages = Array.from({ length: count }, (_, at) => message(at + 1));
  }

  fetchPage = async ({ before, after, around }) => {
    this.asked.push({ before, after, around });
    const all = this.messages;
    const size = 50;
    let from = all.length - size;
    if (before !== undefined) from = all.findIndex(({ id }) => id >= before) - size;
    if (after !== undefined) from = all.findIndex(({ id }) => id > after);
    if (around !== undefined) from = all.findIndex(({ id }) => id >= around) - size / 2;
    const to = before !== undefined ? from + size : Math.max(from, 0) + size;
    const page = {
      messages: all.slice(Math.max(from, 0), to),
      has_more_before: from > 0,
      has_more_after: to < all.length,
    };
    await this.gate; // the answer was made before, and arrives after
    return page;
  };
}

/** A gate that is shut, and its key. */
export function gate() {
  return Promise.withResolvers?.() ?? withResolvers();
}

function withResolvers() {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
}

/** As localStorage, for `storage.js`. */
export class FakeStorage {
  #items = new Map();

  get length() {
    return this.#items.size;
  }

  key(at) {
    return [...this.#items.keys()][at] ?? null;
  }

  getItem(key) {
    return this.#items.get(key) ?? null;
  }

  setItem(key, value) {
    this.#items.set(key, value);
  }

  removeItem(key) {
    this.#items.delete(key);
  }
}

/** Resolves once everything that was waiting for an answer has gone on. */
export const settled = () => new Promise((resolve) => setTimeout(resolve, 5));
