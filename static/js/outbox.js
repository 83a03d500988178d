// What the reader sent and the server has not yet confirmed. Each send keeps its client_id over
// all tries, so trying again is always safe. One at a time per room keeps their order.
// Survives a reload of the tab in sessionStorage.

import { Backoff } from "./backoff.js";
import { uuidv7 } from "./ids.js";

export class Outbox {
  #entries = new Map(); // by client_id, in the order of sending
  #backoffs = new Map(); // by room id, while the room is being served
  #key;
  #post;
  #onsent;
  #onchange;

  /** `post(roomId, {body, client_id})` resolves to the Message. */
  constructor(key, { post, onsent, onchange }) {
    this.#key = key;
    this.#post = post;
    this.#onsent = onsent;
    this.#onchange = onchange;
  }

  restore() {
    const kept = JSON.parse(sessionStorage.getItem(this.#key) ?? "[]");
    for (const entry of kept) this.#entries.set(entry.client_id, entry);
    for (const entry of kept) this.#serve(entry.room_id);
  }

  /** Every entry of the room: `{client_id, room_id, body, created_at, state, reason}`. */
  of(roomId) {
    return [...this.#entries.values()].filter((entry) => entry.room_id === roomId);
  }

  add(roomId, body) {
    const entry = {
      client_id: uuidv7(), room_id: roomId, body,
      created_at: new Date().toISOString(), state: "pending", reason: "",
    };
    this.#entries.set(entry.client_id, entry);
    this.#changed();
    this.#serve(roomId);
  }

  /** The message is in the room, whether the answer or the stream said so first. */
  settle(clientId) {
    if (this.#entries.delete(clientId)) this.#changed();
  }

  again(clientId) {
    const entry = this.#entries.get(clientId);
    if (!entry) return;
    Object.assign(entry, { state: "pending", reason: "" });
    this.#changed();
    this.#serve(entry.room_id);
  }

  clear() {
    this.#entries.clear();
    sessionStorage.removeItem(this.#key);
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

  async #try(entry, backoff) {
    try {
      const message = await this.#post(entry.room_id, { body: entry.body, client_id: entry.client_id });
      backoff.reset();
      this.settle(entry.client_id);
      this.#onsent(message);
    } catch (problem) {
      if (problem.passing) return backoff.wait(problem.retryAfterMs);
      Object.assign(entry, { state: "failed", reason: problem.message });
      this.#changed();
    }
  }

  #changed() {
    sessionStorage.setItem(this.#key, JSON.stringify([...this.#entries.values()]));
    this.#onchange();
  }
}
