// Whether an event of a room is missing. Its events are numbered without a hole; only edits
// and deletions come without their own number (their `id` is the message's), so they are
// counted. One that comes twice hides a gap until the next number; a false alarm cannot be.

const UNNUMBERED = new Set(["message.update", "message.delete"]);
const NUMBERED = new Set([
  "message", "reaction.add", "reaction.remove", "member.join", "member.leave", "member.update", "room.update",
]);

export class Gaps {
  #unnumbered = new Map(); // room id → edits and deletions since the last number

  /** Whether events are missing between `lastId`, the last number known, and this event. */
  before({ type, data: { room_id: roomId, id } }, lastId) {
    const since = this.#unnumbered.get(roomId) ?? 0;
    if (UNNUMBERED.has(type)) this.#unnumbered.set(roomId, since + 1);
    if (!NUMBERED.has(type) || id <= lastId) return false;
    this.#unnumbered.delete(roomId);
    return id > lastId + since + 1;
  }
}
