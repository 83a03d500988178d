// One room's messages as far as they are loaded: always an unbroken stretch up to the newest,
// in the order of their ids. No DOM; `fetchPage({before?})` is given.

import { Backoff } from "./backoff.js";

const KEEP = 300; // messages left by `trim`
const TRIM_ABOVE = 500; // messages

export class Timeline {
  #messages = [];
  #early = []; // live ones that came while the newest page was on its way
  #fetchPage;
  #onchange;
  #loads = 0;
  state = "new"; // new, loading, ready, failed
  older = "idle"; // idle, loading, failed
  hasMore = false;

  constructor(fetchPage, onchange) {
    this.#fetchPage = fetchPage;
    this.#onchange = onchange;
  }

  get messages() {
    return this.#messages;
  }

  /** The newest page, in place of whatever was there; tried until it comes or is refused. */
  async load() {
    const load = (this.#loads += 1);
    const backoff = new Backoff();
    while (load === this.#loads) {
      this.#set({ state: "loading" });
      const problem = await this.#loadNewest(load).catch((error) => error);
      if (!problem || load !== this.#loads) return;
      this.#set({ state: "failed" });
      if (!problem.passing) return;
      await backoff.wait(problem.retryAfterMs);
    }
  }

  async #loadNewest(load) {
    const page = await this.#fetchPage({});
    if (load !== this.#loads) return;
    this.#messages = page.messages;
    this.#set({ state: "ready", older: "idle", hasMore: page.has_more_before });
    for (const message of this.#early.splice(0)) this.apply(message);
  }

  async loadOlder() {
    if (this.state !== "ready" || this.older === "loading" || !this.hasMore) return;
    const load = this.#loads;
    this.#set({ older: "loading" });
    try {
      const page = await this.#fetchPage({ before: this.#messages[0].id });
      if (load !== this.#loads) return;
      this.#messages = [...page.messages, ...this.#messages];
      this.#set({ older: "idle", hasMore: page.has_more_before });
    } catch {
      if (load === this.#loads) this.#set({ older: "failed" });
    }
  }

  /** A message, new or changed; the same one twice is the same as once. */
  apply(message) {
    if (this.state !== "ready") this.#early.push(message);
    else this.#place(message);
    this.#onchange();
  }

  /** Forget the oldest of a long stretch; scrolling up brings them back. */
  trim() {
    if (this.#messages.length <= TRIM_ABOVE || this.older === "loading") return;
    this.#messages = this.#messages.slice(-KEEP);
    this.hasMore = true;
  }

  #place(message) {
    let at = this.#messages.length;
    while (at > 0 && this.#messages[at - 1].id > message.id) at -= 1;
    if (this.#messages[at - 1]?.id === message.id) this.#messages[at - 1] = message;
    else if (at > 0 || !this.hasMore) this.#messages.splice(at, 0, message);
    // Else it is older than what is loaded, and comes with its page.
  }

  #set(fields) {
    Object.assign(this, fields);
    this.#onchange();
  }
}
