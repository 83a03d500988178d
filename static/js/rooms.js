// The rooms that the reader is in, and how much of each is unread. No DOM, no network.

import { called } from "./labels.js";

const byName = new Intl.Collator(undefined, { sensitivity: "base", numeric: true });

export class Rooms {
  #byId = new Map();

  get(id) {
    return this.#byId.get(id);
  }

  get ids() {
    return [...this.#byId.keys()];
  }

  get sorted() {
    return [...this.#byId.values()].sort((a, b) => byName.compare(called(a), called(b)) || a.id - b.id);
  }

  get unread() {
    return this.sorted.reduce((sum, room) => sum + room.unread, 0);
  }

  /** How many messages are meant for the reader: mentions, and all of a direct room. */
  get forMe() {
    return this.sorted.reduce((sum, room) => sum + forMe(room), 0);
  }

  /** What is unread in the rooms but one: all of it, and of it what is meant for the reader. */
  elsewhere(roomId) {
    const sum = { unread: 0, mentions: 0, directs: 0 };
    for (const room of this.#byId.values()) {
      if (room.id === roomId) continue;
      sum.unread += room.unread;
      sum[room.peer ? "directs" : "mentions"] += forMe(room);
    }
    return sum;
  }

  /** A room as the server has it; what the stream told meanwhile is newer and stays. */
  put(room) {
    const known = this.#byId.get(room.id);
    const { last_id, read_id, unread, mentions } = known?.last_id > room.last_id ? known : room;
    this.#byId.set(room.id, { ...room, last_id, read_id, unread, mentions });
  }

  replaceAll(rooms) {
    this.#byId = new Map(rooms.map((room) => [room.id, { ...room }]));
  }

  remove(id) {
    this.#byId.delete(id);
  }

  /** Whether event `id` of the room is news. A resumed stream may repeat what was counted. */
  advance(roomId, id) {
    const room = this.#byId.get(roomId);
    if (!room || id <= room.last_id) return false;
    room.last_id = id;
    return true;
  }

  /** Somebody is called otherwise; a direct room is called by the other one in it. */
  rename(user) {
    for (const room of this.#byId.values()) if (room.peer?.id === user.id) room.peer = user;
  }

  change(roomId, fields) {
    const room = this.#byId.get(roomId);
    if (room) Object.assign(room, fields);
  }
}

export const forMe = ({ visibility, unread, mentions }) => (visibility === "direct" ? unread : mentions);
