// Who is who: everybody that was seen anywhere, by id, as they are called now, and who is in
// which room as far as somebody asked for it. No DOM.

const PER_PAGE = 200;
const PAGES = 5; // 1,000 members are known by name; others once they write

export class People extends Map {
  #fetch;
  #onchange;
  #rooms = new Map(); // room id → {ids: Set, done: Promise, loaded, stale}
  #written = new Map(); // user id → when, of those who are known by what they wrote alone
  version = 0; // grows when names come that somebody waits for, or are others than before

  /** `fetch(roomId, query)` resolves to a page of the room's members. */
  constructor(me, fetch, onchange) {
    super([[me.id, me]]);
    this.#fetch = fetch;
    this.#onchange = onchange;
  }

  /** What somebody is called now. */
  know(user) {
    this.#written.delete(user.id);
    this.#put(user);
  }

  /** A message says what its author was called then: of those nobody knows better, the newest. */
  wrote(messages) {
    for (const { author, created_at: at } of messages) {
      if (this.has(author.id) && !(this.#written.get(author.id) < at)) continue;
      this.#written.set(author.id, at);
      this.#put(author);
    }
  }

  #put(user) {
    const before = this.get(user.id);
    if (before && before.display_name !== user.display_name) this.version += 1;
    this.set(user.id, user);
  }

  joined(roomId, user) {
    this.know(user);
    this.#rooms.get(roomId)?.ids.add(user.id);
  }

  left(roomId, user) {
    this.know(user); // perhaps by a name without a person: the account is deleted
    this.#rooms.get(roomId)?.ids.delete(user.id);
  }

  /** A member's display name; null as long as it is not known, and then it is asked for. */
  name(userId, roomId) {
    const name = this.get(userId)?.display_name;
    if (!name) this.meet(roomId);
    return name ?? null;
  }

  /** The members of the room that are known. */
  in(roomId) {
    return [...(this.#rooms.get(roomId)?.ids ?? [])].map((id) => this.get(id));
  }

  /** Ask once who is in the room. */
  meet(roomId) {
    const known = this.#rooms.get(roomId);
    if (known && !known.stale) return known.done;
    const room = { ids: known?.ids ?? new Set(), loaded: false, stale: false };
    this.#rooms.set(roomId, room);
    room.done = this.#load(roomId, room).catch(() => this.#rooms.delete(roomId));
    return room.done;
  }

  /** Somebody may be called otherwise by now: the next look at a room asks again. */
  renew() {
    for (const room of this.#rooms.values()) room.stale = room.loaded;
    this.#onchange();
  }

  async #load(roomId, room) {
    let after = "";
    for (let page = 0; page < PAGES && after !== null; page += 1) {
      const query = new URLSearchParams({ limit: PER_PAGE, ...(after && { after }) });
      const { members, next } = await this.#fetch(roomId, query);
      for (const { user } of members) {
        this.know(user);
        room.ids.add(user.id);
      }
      after = next;
    }
    room.loaded = true;
    this.version += 1;
    this.#onchange();
  }
}
