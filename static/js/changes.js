// What a reader does to a message that is there: edit, delete, react. Seen at once, undone
// where the server refuses; every method rejects then with its Problem. No DOM.

import { call } from "./api.js";
import { uuidv7 } from "./ids.js";
import { has } from "./reactions.js";

export class Changes {
  #me;
  #timelines;
  #underWay = new Map(); // "room/message/emoji" → requests, while our own events are old news

  constructor(me, timelines) {
    this.#me = me;
    this.#timelines = timelines;
  }

  async edit({ id, room_id: roomId, ...before }, body) {
    const timeline = this.#timelines.get(roomId);
    timeline?.change(id, () => ({ body, html: null, state: "saving" }));
    try {
      const now = await call("PATCH", path(roomId, id), { body, client_id: uuidv7() });
      // Not its reactions: those that came by the stream meanwhile are newer.
      const { body: text, html, edited_at: editedAt, mentions } = now;
      timeline?.change(id, () => ({ body: text, html, edited_at: editedAt, mentions, state: null }));
    } catch (problem) {
      const { html } = before;
      // Unless the stream said meanwhile that it is done, and only the answer was lost.
      timeline?.change(id, ({ state }) => (state === "saving" ? { body: before.body, html, state: null } : {}));
      throw problem;
    }
  }

  /** The event of the stream takes it out; without a stream, the answer does. */
  async remove({ id, room_id: roomId }) {
    await call("DELETE", path(roomId, id));
    const deletedAt = new Date().toISOString();
    this.#timelines.get(roomId)?.change(id, () => ({ body: "", html: "", reactions: [], deleted_at: deletedAt }));
  }

  /** Put the reader's emoji under a message, or take it back. */
  async toggle(message, emoji) {
    const { id, room_id: roomId } = message;
    const off = has(message, emoji, this.#me.id);
    const key = `${roomId}/${id}/${emoji}`;
    this.#apply(roomId, id, emoji, off);
    this.#underWay.set(key, (this.#underWay.get(key) ?? 0) + 1);
    try {
      await call(off ? "DELETE" : "PUT", `${path(roomId, id)}/reactions/${encodeURIComponent(emoji)}`);
    } catch (problem) {
      this.#apply(roomId, id, emoji, !off);
      throw problem;
    } finally {
      const left = this.#underWay.get(key) - 1;
      if (left) this.#underWay.set(key, left);
      else this.#underWay.delete(key);
    }
  }

  /** An event `reaction.add` or `reaction.remove`. */
  reacted(type, { room_id: roomId, message_id: id, emoji, user }) {
    if (user.id === this.#me.id && this.#underWay.has(`${roomId}/${id}/${emoji}`)) return;
    const timeline = this.#timelines.get(roomId);
    if (type === "reaction.add") timeline?.react(id, emoji, user.id);
    else timeline?.unreact(id, emoji, user.id);
  }

  #apply(roomId, id, emoji, off) {
    const timeline = this.#timelines.get(roomId);
    if (off) timeline?.unreact(id, emoji, this.#me.id);
    else timeline?.react(id, emoji, this.#me.id);
  }
}

const path = (roomId, id) => `/api/chat/rooms/${roomId}/messages/${id}`;
