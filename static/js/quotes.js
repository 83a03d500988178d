// The messages that replies answer: from the timeline where they are in it, else fetched
// one by one, each once. No DOM.

const KEEP = 500; // fetched messages
const AT_ONCE = 4; // requests

export const GONE = Object.freeze({ gone: true });

export class Quotes {
  #fetched = new Map(); // "room/id" → Message, GONE, or null while it is on its way
  #waiting = []; // keys
  #running = 0;
  #fetch;
  #onchange;

  /** `fetch(roomId, id)` resolves to the Message. */
  constructor(fetch, onchange) {
    this.#fetch = fetch;
    this.#onchange = onchange;
  }

  /** The quoted message, `GONE`, or null as long as it is not known. */
  get(roomId, id, timeline) {
    const here = timeline.get(id);
    if (here) return here;
    const key = `${roomId}/${id}`;
    if (!this.#fetched.has(key)) this.#ask(key);
    return this.#fetched.get(key) ?? null;
  }

  /** A message as it stands now, if it is one of those quoted. */
  update(message) {
    const key = `${message.room_id}/${message.id}`;
    if (this.#fetched.has(key)) this.#fetched.set(key, message);
  }

  #ask(key) {
    this.#fetched.set(key, null);
    if (this.#fetched.size > KEEP) this.#fetched.delete(this.#fetched.keys().next().value);
    this.#waiting.push(key);
    this.#next();
  }

  async #next() {
    if (this.#running >= AT_ONCE || this.#waiting.length === 0) return;
    this.#running += 1;
    const key = this.#waiting.pop(); // what was asked for last is in view
    const [roomId, id] = key.split("/").map(Number);
    const message = await this.#fetch(roomId, id).catch((problem) => (problem.passing ? undefined : GONE));
    if (message && !this.#fetched.get(key)) this.#fetched.set(key, message); // an event was faster
    if (!message) this.#fetched.delete(key); // asked again with the next drawing
    this.#running -= 1;
    if (message) this.#onchange();
    this.#next();
  }
}
