// Who is online, as far as the reader looks at their rooms: asked once per room, then
// followed by diffs. No DOM.

const PATIENCE_MS = 10_000; // many hear `missed` in the same moment

export class Presence {
  #rooms = new Map(); // room id → Set of the users who are online
  #line = Promise.resolve(); // questions go one by one
  #me;
  #fetch;
  #onchange;

  /** `me`: the reader's id, who is here; `fetch(roomId)` resolves to {user_ids}. */
  constructor(me, fetch, onchange) {
    this.#me = me;
    this.#fetch = fetch;
    this.#onchange = onchange;
  }

  has(userId) {
    return userId === this.#me || [...this.#rooms.values()].some((online) => online.has(userId));
  }

  /** Ask once who of the room is online. */
  look(roomId) {
    if (this.#rooms.has(roomId)) return;
    this.#rooms.set(roomId, new Set());
    this.#ask(roomId);
  }

  hear({ type, data }) {
    if (type === "presence") this.#change(data);
    if (type === "ready" || type === "reset") this.#renew();
    if (type === "missed") setTimeout(() => this.#renew(data.room_id), Math.random() * PATIENCE_MS);
  }

  #change({ room_id: roomId, user_id: userId, online }) {
    if (online) this.#rooms.get(roomId)?.add(userId);
    else for (const each of this.#rooms.values()) each.delete(userId);
    this.#onchange();
  }

  /** What is known may be old, of one room or of all: ask again. */
  #renew(roomId = null) {
    const rooms = roomId === null ? [...this.#rooms.keys()] : [roomId].filter((id) => this.#rooms.has(id));
    for (const each of rooms) this.#ask(each);
  }

  #ask(roomId) {
    this.#line = this.#line.then(async () => {
      try {
        const { user_ids: userIds } = await this.#fetch(roomId);
        this.#rooms.set(roomId, new Set(userIds));
        this.#onchange();
      } catch {
        this.#rooms.delete(roomId); // the next look asks again
      }
    });
  }
}
