// Who is who: everybody that was seen anywhere, by id, and who is in which room as far as
// somebody asked for it. No DOM.

const PER_PAGE = 200;
const PAGES = 5; // 1,000 members are known by name; others once they write

export class People extends Map {
  #fetch;
  #onchange;
  #rooms = new Map(); // room id → {ids: Set, done: Promise}
  version = 0; // grows when names come that somebody waits for

  /** `fetch(roomId, query)` resolves to a page of the room's members. */
  constructor(me, fetch, onchange) {
    super([[me.id, me]]);
    this.#fetch = fetch;
    this.#onchange = onchange;
  }

  know(user) {
    this.set(user.id, user);
  }

  wrote(messages) {
    for (const { author } of messages) this.know(author);
  }

  joined(roomId, user) {
    this.know(user);
    this.#rooms.get(roomId)?.ids.add(user.id);
  }

  left(roomId, user) {
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
    if (this.#rooms.has(roomId)) return this.#rooms.get(roomId).done;
    const room = { ids: new Set() };
    this.#rooms.set(roomId, room);
    room.done = this.#load(roomId, room.ids).catch(() => this.#rooms.delete(roomId));
    return room.done;
  }

  async #load(roomId, ids) {
    let after = "";
    for (let page = 0; page < PAGES && after !== null; page += 1) {
      const query = new URLSearchParams({ limit: PER_PAGE, ...(after && { after }) });
      const { members, next } = await this.#fetch(roomId, query);
      for (const { user } of members) {
        this.know(user);
        ids.add(user.id);
      }
      after = next;
    }
    this.version += 1;
    this.#onchange();
  }
}
