// The life of one EventSource: it is made anew, with the cursor of the last event seen,
// whenever it closed, fell silent, or the machine came back. Knows nothing of rooms.

import { Backoff } from "./backoff.js";

const EVENTS = [
  "ready", "message", "message.update", "message.delete", "reaction.add", "reaction.remove",
  "member.join", "member.leave", "member.update", "room.update", "room.added", "room.removed",
  "typing", "presence", "read", "missed", "user.update", "invitation", "invitation.remove",
  "session.revoked", "reset", "heartbeat",
];
const HEARTBEAT_MS = 18_000; // the server's 15 s and its 20 % of jitter
const DEAD_AFTER_MS = 2.5 * HEARTBEAT_MS;
const OPENING_MS = 15_000; // a browser takes up old connections, up to six, of which none may live
const CHECK_EVERY_MS = 5_000;

export class Stream {
  #url;
  #cursor = "";
  #source = null;
  #backoff = new Backoff();
  #ready = false; // the source has said so
  #heardAt = 0; // by the wall clock: a sleeping machine must notice the gap
  #checking = 0;
  #onevent;
  #onstate;
  #onrefused;

  /**
   * `onevent({type, data, id})`, `onstate(connected)`; `onrefused()` is asked, and awaited,
   * before a try that follows a refusal, because EventSource does not tell 401 from 503.
   */
  constructor(url, { onevent, onstate, onrefused }) {
    this.#url = url;
    this.#onevent = onevent;
    this.#onstate = onstate;
    this.#onrefused = onrefused;
  }

  open(cursor) {
    this.#cursor = cursor;
    this.#checking = setInterval(() => this.#check(), CHECK_EVERY_MS);
    this.#connect();
  }

  close() {
    clearInterval(this.#checking);
    this.#checking = 0;
    this.#source?.close();
    this.#source = null;
  }

  /** Where to go on after a `reset`, whose old cursor is good for nothing. */
  set cursor(cursor) {
    this.#cursor = cursor;
  }

  /** The machine woke up or changed networks; an old connection may be dead without a word. */
  revive({ force = false } = {}) {
    if (!this.#source) return this.#backoff.wake();
    const alive = this.#source.readyState === EventSource.OPEN && !this.#silent;
    if (force || !alive) this.#connect();
  }

  get #silent() {
    return Date.now() - this.#heardAt > (this.#ready ? DEAD_AFTER_MS : OPENING_MS);
  }

  #check() {
    if (this.#source && this.#silent) this.#connect();
  }

  #connect() {
    this.#source?.close();
    this.#lose();
    const source = new EventSource(`${this.#url}?last_event_id=${encodeURIComponent(this.#cursor)}`);
    this.#source = source;
    for (const type of EVENTS) {
      source.addEventListener(type, (event) => this.#hear(source, type, event));
    }
    source.addEventListener("error", () => this.#stumble(source));
  }

  #lose() {
    this.#onstate(false);
    this.#ready = false;
    this.#heardAt = Date.now();
  }

  #hear(source, type, event) {
    if (source !== this.#source) return; // closed in between; its successor gets this event again
    this.#heardAt = Date.now();
    if (type === "ready") {
      this.#ready = true;
      this.#backoff.reset();
      this.#onstate(true);
    }
    // `lastEventId` of an event without an id repeats the last one, or is empty after a new start.
    if (event.lastEventId) this.#cursor = event.lastEventId;
    this.#onevent({ type, data: JSON.parse(event.data || "{}"), id: this.#cursor });
  }

  async #stumble(source) {
    if (source !== this.#source) return;
    this.#lose();
    if (source.readyState !== EventSource.CLOSED) return; // the browser tries by itself
    this.#source = null;
    await this.#backoff.wait();
    await this.#onrefused().catch(() => {});
    if (this.#checking && !this.#source) this.#connect();
  }
}
