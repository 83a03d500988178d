// What was begun in each room and not sent: survives a reload, and the closing of the tab.

import { parse } from "./storage.js";

export class Drafts {
  #storage;
  #prefix;

  /** `storage` is a Storage of `storage.js`; `prefix` names the reader. */
  constructor(storage, prefix) {
    this.#storage = storage;
    this.#prefix = `${prefix}.`;
  }

  /** `{body, replyTo}` */
  get(roomId) {
    const kept = parse(this.#storage.get(this.#prefix + roomId));
    return { body: String(kept?.body ?? ""), replyTo: kept?.replyTo ?? null };
  }

  set(roomId, { body, replyTo = null }) {
    if (body.trim() || replyTo !== null) this.#storage.set(this.#prefix + roomId, JSON.stringify({ body, replyTo }));
    else this.#storage.remove(this.#prefix + roomId);
  }

  clear() {
    this.#storage.removeAll(this.#prefix);
  }
}
