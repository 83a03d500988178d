// What the reader sent and the server has not yet confirmed. Each send keeps its client_id over
// all tries, so trying again is always safe, from two tabs at once too. One at a time per room
// keeps their order. Survives a reload, and the closing of the tab.

import { Backoff } from "./backoff.js";
import { uuidv7 } from "./ids.js";
import { parse } from "./storage.js";

const FRESH_MS = 10 * 60_000; // what is older when the page comes back may be out of place by now
const STALE = "It was written a while ago.";

export class Outbox {
  #entries = new Map(); // by client_id, in the order of sending
  #backoffs = new Map(); // by room id, while the room is being served
  #storage;
  #key;
  #post;
  #onsent;
  #onchange;

  /** `post(roomId, {body, client_id, reply_to})` resolves to the Message. */
  constructor(storage, key, { post, onsent, onchange }) {
    this.#storage = storage;
    this.#key = key;
    this.#post = post;
    this.#onsent = onsent;
    this.#onchange = onchange;
  }

  restore(now = Date.now()) {
    const kept = this.#kept();
    for (const entry of kept) {
      const stale = entry.state === "pending" && now - Date.parse(entry.created_at) > FRESH_MS;
      this.#entries.set(entry.client_id, stale ? { ...entry, state: "failed", reason: STALE } : entry);
    }
    for (const entry of kept) this.#serve(entry.room_id);
  }

  /** Every entry of the room: `{client_id, room_id, body, reply_to, created_at, state, reason}`. */
  of(roomId) {
    return [...this.#entries.values()].filter((entry) => entry.room_id === roomId);
  }

  add(roomId, body, replyTo = null) {
    const entry = {
      client_id: uuidv7(), room_id: roomId, body, reply_to: replyTo,
      created_at: new Date().toISOString(), state: "pending", reason: "",
    };
    this.#entries.set(entry.client_id, entry);
    this.#changed();
    this.#serve(roomId);
  }

  /** The message is in the room, whether the answer or the stream said so first; or given up. */
  settle(clientId) {
    if (this.#entries.delete(clientId)) this.#changed(clientId);
  }

  again(clientId) {
    const entry = this.#entries.get(clientId);
    if (!entry) return;
    this.#entries.set(clientId, { ...entry, state: "pending", reason: "" });
    this.#changed();
    this.#serve(entry.room_id);
  }

  /** Another tab wrote: what it settled or gave up is no longer ours either. */
  follow() {
    const kept = new Set(this.#kept().map((entry) => entry.client_id));
    const before = this.#entries.size;
    for (const clientId of this.#entries.keys()) if (!kept.has(clientId)) this.#entries.delete(clientId);
    if (this.#entries.size < before) this.#onchange();
  }

  get key() {
    return this.#key;
  }

  clear() {
    this.#entries.clear();
    this.#storage.remove(this.#key);
  }

  /** The network is back: whoever waits tries now. */
  wake() {
    for (const backoff of this.#backoffs.values()) backoff.wake();
  }

  async #serve(roomId) {
    if (this.#backoffs.has(roomId)) return;
    const backoff = new Backoff();
    this.#backoffs.set(roomId, backoff);
    for (let entry; (entry = this.of(roomId).find(({ state }) => state === "pending"));) {
      await this.#try(entry, backoff);
    }
    this.#backoffs.delete(roomId);
  }

  async #try({ room_id: roomId, body, client_id: clientId, reply_to: replyTo = null }, backoff) {
    try {
      const message = await this.#post(roomId, { body, client_id: clientId, reply_to: replyTo });
      backoff.reset();
      this.settle(clientId);
      this.#onsent(message);
    } catch (problem) {
      if (problem.passing) return backoff.wait(problem.retryAfterMs);
      this.#fail(clientId, problem.message);
    }
  }

  #fail(clientId, reason) {
    const entry = this.#entries.get(clientId);
    if (!entry) return; // settled meanwhile
    this.#entries.set(clientId, { ...entry, state: "failed", reason });
    this.#changed();
  }

  /** Write down our entries beside those of other tabs, without the one that is settled. */
  #changed(settled = null) {
    const all = new Map(this.#kept().map((entry) => [entry.client_id, entry]));
    for (const [clientId, entry] of this.#entries) all.set(clientId, entry);
    all.delete(settled);
    if (all.size) this.#storage.set(this.#key, JSON.stringify([...all.values()]));
    else this.#storage.remove(this.#key);
    this.#onchange();
  }

  #kept() {
    return parse(this.#storage.get(this.#key)) ?? [];
  }
}
