// Who is typing, as far as others say so, and how often we say so ourselves. No DOM.

const TELL_EVERY_MS = 3_000; // the server forgets after 6 s
const NAMED = 2; // more people than this are not named

const list = new Intl.ListFormat(undefined, { type: "conjunction" });

export class Typing {
  #until = new Map(); // room id → Map of user id → timer
  #onchange;

  constructor(onchange) {
    this.#onchange = onchange;
  }

  /** Ids of those who type in the room. */
  in(roomId) {
    return [...(this.#until.get(roomId)?.keys() ?? [])];
  }

  hear({ room_id: roomId, user_id: userId, expires_s: expiresS }) {
    const people = this.#until.get(roomId) ?? new Map();
    this.#until.set(roomId, people);
    clearTimeout(people.get(userId));
    people.set(userId, setTimeout(() => this.stop(roomId, userId), expiresS * 1_000));
    this.#onchange();
  }

  /** The message came, or nothing more did. */
  stop(roomId, userId) {
    const people = this.#until.get(roomId);
    if (!people?.has(userId)) return;
    clearTimeout(people.get(userId));
    people.delete(userId);
    this.#onchange();
  }
}

/** Passes on that we type, now and then while we do. */
export class Telling {
  #told = new Map(); // room id → when
  #tell;

  /** `tell(roomId)` may reject: then nobody knows, which is no harm. */
  constructor(tell) {
    this.#tell = tell;
  }

  typed(roomId, now = Date.now()) {
    if (now - (this.#told.get(roomId) ?? -Infinity) < TELL_EVERY_MS) return;
    this.#told.set(roomId, now);
    this.#tell(roomId).catch(() => {});
  }

  /** What was typed is sent: the next word is news again. */
  sent(roomId) {
    this.#told.delete(roomId);
  }
}

/** "ann is typing…" */
export function sentence(names) {
  if (names.length === 0) return "";
  if (names.length > NAMED) return "Several people are typing…";
  return `${list.format(names)} ${names.length === 1 ? "is" : "are"} typing…`;
}
