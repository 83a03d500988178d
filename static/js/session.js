// What one signed-in reader's tab knows, and how events change it. No DOM: it calls
// `onchange()` when anything to be seen has changed.

import * as api from "./api.js";
import { Changes } from "./changes.js";
import { Drafts } from "./drafts.js";
import { Gaps } from "./gaps.js";
import { People } from "./names.js";
import { Outbox } from "./outbox.js";
import { Presence } from "./presence.js";
import { Quotes } from "./quotes.js";
import { Reading } from "./reading.js";
import { Rooms } from "./rooms.js";
import { Storage } from "./storage.js";
import { Timelines } from "./timelines.js";
import { Telling, Typing } from "./typing.js";

const ROOMS_PER_PAGE = 200; // `pages.py` has the first page asked for before there is a script
const PATIENCE_MS = 10_000; // many hear `missed` in the same moment

const path = (roomId, rest = "") => `/api/chat/rooms/${roomId}${rest}`;

export class Session {
  storage = new Storage();
  rooms = new Rooms();
  people; // user id → User, of everybody that was seen anywhere
  outbox;
  drafts;
  typing;
  presence;
  telling = new Telling((roomId) => api.post(path(roomId, "/typing")));
  quotes;
  changes;
  open = null; // id of the room in view
  mark = null; // event id above which the open room's messages are marked as new
  target = null; // {id} of a message, or {key} of a row, to be brought into view once it is there
  #me;
  #asking = new Map(); // room id → the answer that is on its way
  #gaps = new Gaps();
  #timelines;
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
    this.people = new People(me, (roomId, query) => api.get(path(roomId, `/members?${query}`)), onchange);
    this.drafts = new Drafts(this.storage, `quartchat.draft.${me.id}`);
    this.typing = new Typing(onchange);
    this.presence = new Presence(me.id, (roomId) => api.get(path(roomId, "/presence")), onchange);
    this.quotes = new Quotes((roomId, id) => api.get(path(roomId, `/messages/${id}`)), onchange);
    this.#timelines = new Timelines((messages) => this.people.wrote(messages), onchange);
    this.changes = new Changes(me, this.#timelines);
    this.outbox = new Outbox(this.storage, `quartchat.outbox.${me.id}`, {
      post: (roomId, message) => api.post(path(roomId, "/messages"), message),
      onsent: (message) => this.#timelines.get(message.room_id)?.add(message),
      onchange,
    });
  }

  /**
   * Fetch the joined rooms, and the newest messages of the one that is opened, if any; resolves
   * to the cursor from which the stream goes on.
   */
  async load(roomId = 0) {
    const rooms = [];
    // What happened after the first page was read is sent again.
    const { cursor, opened } = await this.#list(rooms, roomId && { open: roomId });
    this.rooms.replaceAll(rooms);
    if (opened && this.rooms.get(roomId)) this.#timelines.open(roomId, opened);
    for (const { peer } of rooms) if (peer) this.people.know(peer);
    this.#onchange();
    return cursor;
  }

  /** Add all joined rooms to a list; resolves to the first page of them. */
  async #list(rooms, more) {
    const query = new URLSearchParams({ joined: true, limit: ROOMS_PER_PAGE, ...more });
    const page = await api.get(`/api/chat/rooms?${query}`);
    rooms.push(...page.rooms);
    if (page.next !== null) await this.#list(rooms, { after: page.next });
    return page;
  }

  timeline(roomId) {
    return this.#timelines.open(roomId);
  }

  enter(roomId) {
    const room = this.rooms.get(roomId);
    this.open = room ? roomId : null;
    this.mark = room?.unread ? room.read_id : null;
    this.target = null;
    if (!room) return;
    const timeline = this.timeline(roomId);
    if (timeline.hasNewer) timeline.load();
    else timeline.trim();
  }

  /** Bring a message of the open room into view, however old; rejects where it does not come. */
  async showMessage(roomId, id) {
    this.target = { id };
    const timeline = this.timeline(roomId);
    if (timeline.state !== "ready" || !timeline.get(id)) await timeline.loadAround(id);
    this.#onchange();
  }

  /** Bring the first new message of the open room into view. */
  async showUnread() {
    this.target = { key: "new" };
    const timeline = this.timeline(this.open);
    if (timeline.state !== "ready" || timeline.messages[0]?.id > this.mark) await timeline.loadAround(Math.max(this.mark, 1));
    this.#onchange();
  }

  /** The reader sees the end of the open room: nothing in it is unread. */
  attend() {
    const room = this.rooms.get(this.open);
    if (!room || this.timeline(room.id).state !== "ready") return;
    if (room.last_id > room.read_id) this.#reading.reach(room.id, room.last_id);
    if (room.unread || room.mentions) this.#onchange();
    this.rooms.change(room.id, { unread: 0, mentions: 0, read_id: room.last_id });
  }

  send(body, replyTo) {
    this.mark = null;
    if (this.timeline(this.open).hasNewer) this.timeline(this.open).load();
    this.telling.sent(this.open);
    this.outbox.add(this.open, body, replyTo);
  }

  put(room) {
    this.rooms.put(room);
    if (room.peer) this.people.know(room.peer);
    this.#onchange();
  }

  /** Somebody, perhaps the reader, is called otherwise from now on. */
  rename(user) {
    if (user.id === this.#me.id) Object.assign(this.#me, user);
    this.people.know(user);
    this.rooms.rename(user);
    this.#onchange();
  }

  /** Ask whether the reader is in the room, and what it looks like. */
  refresh(roomId) {
    const asked = this.#asking.get(roomId);
    if (asked) return asked.catch(() => {}); // who asked first hears of a failure
    const answer = this.#ask(roomId).finally(() => this.#asking.delete(roomId));
    this.#asking.set(roomId, answer);
    return answer;
  }

  async #ask(roomId) {
    const room = await api.get(path(roomId)).catch((problem) => {
      if (problem.status === 404) return { joined: false };
      throw problem;
    });
    if (room.joined) this.put(room);
    else this.drop(roomId);
  }

  drop(roomId) {
    const room = this.rooms.get(roomId);
    this.rooms.remove(roomId);
    this.#timelines.drop(roomId);
    if (room) this.#onremoved(room);
    this.#onchange();
  }

  /** The network is back: what waits for its next try makes it now. */
  wake() {
    this.outbox.wake();
    this.#timelines.wake();
  }

  leaveNothingBehind() {
    this.outbox.clear();
    this.drafts.clear();
  }

  /** Apply one event of the stream. Returns a new cursor where the event asks for one. */
  async receive(event) {
    const { type, data } = event;
    const roomId = data.room_id;
    this.presence.hear(event);
    if (type === "invitation.remove") return; // of a room that the reader need not be in
    // Joined in another tab: the first event says so. What comes before the answer may be newer.
    if (data.id && roomId && !this.rooms.get(roomId)) {
      await this.refresh(roomId);
      if (!this.rooms.get(roomId)) return;
    }
    const missing = roomId && this.#gaps.before(event, this.rooms.get(roomId)?.last_id);
    const cursor = this.#apply(type, data, roomId);
    if (missing) await this.#fill(roomId);
    return cursor;
  }

  #apply(type, data, roomId) {
    switch (type) {
      case "ready": return this.#compare(data.rooms);
      case "message": return this.#message(data);
      case "message.update":
      case "message.delete": return this.#changed(data);
      case "reaction.add":
      case "reaction.remove": return this.#reacted(type, data);
      case "member.join": return this.#members(data, +1);
      case "member.leave": return this.#members(data, -1);
      case "member.update": return this.#members(data, 0);
      case "room.update": return this.#described(data);
      case "room.added": return this.refresh(roomId);
      case "room.removed": return this.drop(roomId);
      case "typing": return this.#typed(data);
      case "read": return this.#readElsewhere(data);
      case "user.update": return this.rename(data);
      case "missed": return this.#missed(roomId);
      case "reset": return this.#reset();
      case "session.revoked": return api.toLogin();
    }
  }

  /** Being added to a room or removed has no id, so it is not sent again after a break. */
  async #compare(rooms = []) {
    this.people.renew(); // nor is a new name
    const theirs = new Set(rooms.map(({ id }) => id));
    const ours = new Set(this.rooms.ids);
    const differing = [...theirs, ...ours].filter((id) => !(theirs.has(id) && ours.has(id)));
    await Promise.all(differing.map((id) => this.refresh(id)));
  }

  /** Events of the room are missing, which should not be: ask instead. */
  async #fill(roomId) {
    if (roomId === this.open) this.timeline(roomId).renew();
    else this.#timelines.drop(roomId);
    await this.refresh(roomId);
  }

  #message(message) {
    const { id, room_id: roomId, author, client_id: clientId } = message;
    const mine = author.id === this.#me.id;
    if (mine && clientId) this.outbox.settle(clientId);
    this.people.wrote([message]);
    this.typing.stop(roomId, author.id);
    const room = this.rooms.get(roomId);
    const before = room.last_id;
    if (this.rooms.advance(roomId, id)) {
      if (mine) this.rooms.change(roomId, { unread: 0, mentions: 0, read_id: id }); // who writes has read
      else if (roomId !== this.open || !this.#attended()) this.#countUnread(room, message, before);
    }
    this.#timelines.get(roomId)?.add(message);
    this.#onchange();
  }

  #countUnread(room, { mentions }, before) {
    if (room.id === this.open && !room.unread) this.mark = before;
    room.unread += 1;
    if (mentions.includes(this.#me.id)) room.mentions += 1;
  }

  #changed(message) {
    this.quotes.update(message);
    this.#timelines.get(message.room_id)?.update(message);
    this.#onchange();
  }

  #reacted(type, data) {
    this.rooms.advance(data.room_id, data.id);
    this.people.know(data.user);
    this.changes.reacted(type, data);
  }

  #missed(roomId) {
    if (!roomId) setTimeout(() => this.people.renew(), Math.random() * PATIENCE_MS);
  }

  #typed(data) {
    if (data.user_id === this.#me.id) return;
    this.people.name(data.user_id, data.room_id); // asks for it where it is not known
    this.typing.hear(data);
  }

  #members({ room_id: roomId, id, user, role }, step) {
    const room = this.rooms.get(roomId);
    if (this.rooms.advance(roomId, id)) room.member_count += step;
    if (user.id === this.#me.id && step >= 0) room.role = role;
    if (step < 0) this.people.left(roomId, user);
    else this.people.joined(roomId, user);
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
    this.rooms.change(roomId, { unread: 0, mentions: 0, read_id: id });
    this.#onchange();
  }

  /** The stream cannot go on from where we were: everything is read anew. */
  async #reset() {
    const cursor = await this.load();
    this.#timelines.renew(this.open);
    return cursor;
  }
}
