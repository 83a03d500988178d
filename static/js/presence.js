// Who is online, as far as the reader looks at their rooms: asked once per room, then
// followed by diffs. No DOM.

const PATIENCE_MS = 10_000; // many hear `missed` in the same moment

export class Presence {
  #online = new Set();
  #asked = new Set(); // ids of rooms
  #fetch;
  #onchange;

  /** `fetch(roomId)` resolves to {user_ids}. */
  constructor(fetch, onchange) {
    this.#fetch = fetch;
    this.#onchange = onchange;
  }

  has(userId) {
    return this.#online.has(userId);
  }

  /** Ask once who of the room is online. */
  look(roomId) {
    if (this.#asked.has(roomId)) return;
    this.#asked.add(roomId);
    this.#ask(roomId);
  }

  hear({ type, data }) {
    if (type === "presence") this.#change(data);
    if (type === "ready" || type === "reset") this.#renew();
    if (type === "missed") setTimeout(() => this.#renew(data.room_id), Math.random() * PATIENCE_MS);
  }

  #change({ user_id: userId, online }) {
    if (online) this.#online.add(userId);
    else this.#online.delete(userId);
    this.#onchange();
  }

  /** What is known may be old, of one room or of all: ask again. */
  #renew(roomId = null) {
    if (roomId !== null) return this.#asked.has(roomId) && this.#ask(roomId);
    this.#online.clear();
    for (const each of this.#asked) this.#ask(each);
  }

  async #ask(roomId) {
    try {
      const { user_ids: userIds } = await this.#fetch(roomId);
      for (const userId of userIds) this.#online.add(userId);
      this.#onchange();
    } catch {
      this.#asked.delete(roomId); // the next look asks again
    }
  }
}
