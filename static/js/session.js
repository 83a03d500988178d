// What one signed-in reader's tab knows, and how events change it. No DOM: it calls
// `onchange()` when anything to be seen has changed.

import * as api from "./api.js";
import { Outbox } from "./outbox.js";
import { Reading } from "./reading.js";
import { Rooms } from "./rooms.js";
import { Timeline } from "./timeline.js";

const ROOMS_PER_PAGE = 200;
const MESSAGES_PER_PAGE = 50;
const TIMELINES_KEPT = 20; // rooms that open without a fetch

const path = (roomId, rest = "") => `/api/chat/rooms/${roomId}${rest}`;

export class Session {
  rooms = new Rooms();
  outbox;
  open = null; // id of the room in view
  mark = null; // event id above which the open room's messages are marked as new
  #me;
  #asking = new Set(); // ids of rooms that are being refreshed
  #timelines = new Map(); // room id → Timeline, the latest opened last
  #reading = new Reading((roomId, id) => api.post(path(roomId, "/read"), { id }));
  #attended;
  #onchange;
  #onremoved;

  /** `attended()`: whether the reader can see the end of the open room at this moment. */
  constructor(me, { attended, onchange, onremoved }) {
    this.#me = me;
    this.#attended = attended;
    this.#onchange = onchange;
    this.#onremoved = onremoved;
    this.outbox = new Outbox(`quartchat.outbox.${me.id}`, {
      post: (roomId, message) => api.post(path(roomId, "/messages"), message),
      onsent: (message) => this.#timelines.get(message.room_id)?.apply(message),
      onchange,
    });
  }

  /** Fetch the joined rooms; resolves to the cursor from which the stream goes on. */
  async load() {
    const rooms = [];
    let cursor = null;
    for (let after = ""; after !== null;) {
      const query = new URLSearchParams({ joined: true, limit: ROOMS_PER_PAGE, ...(after && { after }) });
      const page = await api.get(`/api/chat/rooms?${query}`);
      rooms.push(...page.rooms);
      cursor ??= page.cursor; // the first page's: what happened while paging is sent again
      after = page.next;
    }
    this.rooms.replaceAll(rooms);
    this.#onchange();
    return cursor;
  }

  /** The room's timeline, loading if this is its first use. */
  timeline(roomId) {
    const timeline = this.#timelines.get(roomId) ?? new Timeline(
      (where) => api.get(path(roomId, `/messages?${new URLSearchParams({ limit: MESSAGES_PER_PAGE, ...where })}`)),
      this.#onchange,
    );
    this.#timelines.delete(roomId);
    this.#timelines.set(roomId, timeline);
    if (this.#timelines.size > TIMELINES_KEPT) this.#timelines.delete(this.#timelines.keys().next().value);
    if (timeline.state === "new") timeline.load();
    return timeline;
  }

  enter(roomId) {
    const room = this.rooms.get(roomId);
    this.open = room ? roomId : null;
    this.mark = room?.unread ? room.read_id : null;
    if (room) this.timeline(roomId).trim();
  }

  /** The reader sees the end of the open room: nothing in it is unread. */
  attend() {
    const room = this.rooms.get(this.open);
    if (!room || this.timeline(room.id).state !== "ready") return;
    if (room.last_id > room.read_id) this.#reading.reach(room.id, room.last_id);
    if (room.unread) this.#onchange();
    this.rooms.change(room.id, { unread: 0, read_id: room.last_id });
  }

  send(body) {
    this.mark = null;
    this.outbox.add(this.open, body);
  }

  put(room) {
    this.rooms.put(room);
    this.#onchange();
  }

  /** Ask whether the reader is in the room, and what it looks like. */
  async refresh(roomId) {
    if (this.#asking.has(roomId)) return;
    this.#asking.add(roomId);
    const room = await api.get(path(roomId)).catch((problem) => {
      if (problem.status === 404) return { joined: false };
      throw problem;
    }).finally(() => this.#asking.delete(roomId));
    if (room.joined) this.put(room);
    else this.drop(roomId);
  }

  drop(roomId) {
    const room = this.rooms.get(roomId);
    this.rooms.remove(roomId);
    this.#timelines.delete(roomId);
    if (room) this.#onremoved(room);
    this.#onchange();
  }

  leaveNothingBehind() {
    this.outbox.clear();
  }

  /** Apply one event of the stream. Returns a new cursor where the event asks for one. */
  async receive({ type, data }) {
    const roomId = data.room_id;
    // Joined in another tab: the first event says so.
    if (data.id && roomId && !this.rooms.get(roomId)) return this.refresh(roomId);
    switch (type) {
      case "ready": return this.#compare(data.rooms);
      case "message": return this.#message(data);
      case "message.update":
      case "message.delete": return this.#timelines.get(roomId)?.apply(data);
      case "member.join": return this.#members(data, +1);
      case "member.leave": return this.#members(data, -1);
      case "room.update": return this.#described(data);
      case "room.added": return this.refresh(roomId);
      case "room.removed": return this.drop(roomId);
      case "read": return this.#readElsewhere(data);
      case "reset": return this.#reset();
      case "session.revoked": return api.toLogin();
    }
  }

  /** Being added to a room or removed has no id, so it is not sent again after a break. */
  async #compare(rooms = []) {
    const theirs = new Set(rooms.map(({ id }) => id));
    const ours = new Set(this.rooms.ids);
    const differing = [...theirs, ...ours].filter((id) => !(theirs.has(id) && ours.has(id)));
    await Promise.all(differing.map((id) => this.refresh(id)));
  }

  #message(message) {
    const { id, room_id: roomId, author, client_id: clientId } = message;
    const mine = author.id === this.#me.id;
    if (mine && clientId) this.outbox.settle(clientId);
    const room = this.rooms.get(roomId);
    const before = room.last_id;
    if (this.rooms.advance(roomId, id)) {
      if (mine) this.rooms.change(roomId, { unread: 0, read_id: id }); // who writes has read
      else if (roomId !== this.open || !this.#attended()) this.#countUnread(room, before);
    }
    this.#timelines.get(roomId)?.apply(message);
    this.#onchange();
  }

  #countUnread(room, before) {
    if (room.id === this.open && !room.unread) this.mark = before;
    room.unread += 1;
  }

  #members({ room_id: roomId, id }, step) {
    const room = this.rooms.get(roomId);
    if (this.rooms.advance(roomId, id)) room.member_count += step;
    this.#onchange();
  }

  #described({ room_id: roomId, id, room }) {
    this.rooms.advance(roomId, id);
    this.rooms.change(roomId, room);
    this.#onchange();
  }

  #readElsewhere({ room_id: roomId, user_id: userId, id }) {
    const room = this.rooms.get(roomId);
    if (userId !== this.#me.id || !room || !(id > room.read_id)) return;
    if (id < room.last_id) return this.refresh(roomId);
    this.rooms.change(roomId, { unread: 0, read_id: id });
    this.#onchange();
  }

  /** The stream cannot go on from where we were: everything is read anew. */
  async #reset() {
    const cursor = await this.load();
    for (const roomId of [...this.#timelines.keys()]) {
      if (roomId === this.open) this.#timelines.get(roomId).load();
      else this.#timelines.delete(roomId);
    }
    return cursor;
  }
}
