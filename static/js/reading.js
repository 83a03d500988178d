// How far the reader has read, told to the server at most once a second per room.

const PAUSE_MS = 1_000;

export class Reading {
  #told = new Map(); // room id → highest event id that was sent
  #due = new Map(); // room id → event id to send next
  #timer = 0;
  #post;

  /** `post(roomId, id)` tells the server. */
  constructor(post) {
    this.#post = post;
  }

  reach(roomId, id) {
    if (id <= (this.#told.get(roomId) ?? 0)) return;
    this.#due.set(roomId, id);
    this.#timer ||= setTimeout(() => this.flush(), PAUSE_MS);
  }

  flush() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    for (const [roomId, id] of this.#due) {
      this.#told.set(roomId, id);
      this.#post(roomId, id).catch(() => this.#told.delete(roomId)); // the next message tells again
    }
    this.#due.clear();
  }
}
