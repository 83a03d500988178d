// One room's messages as far as they are loaded: an unbroken stretch, in the order of their
// ids, of bounded length. It reaches up to the newest message unless `hasNewer`.
// No DOM; `fetchPage({before?, after?, around?})` is given.

import { Backoff } from "./backoff.js";
import { react, unreact } from "./reactions.js";

const KEEP = 300; // messages left where a longer stretch is cut
const CUT_ABOVE = 400; // messages, on the side that the reader is far from
const MOST = 600; // messages; a reader of the past no longer follows what comes at the end

export class Timeline {
  #messages = [];
  #missable = []; // changes that came while a page was on its way, which may be without them
  #fetchPage;
  #onchange;
  #loads = 0;
  #backoff = new Backoff(); // the latest load's
  state = "new"; // new, loading, ready, failed
  older = "idle"; // idle, loading, failed
  newer = "idle";
  hasOlder = false;
  hasNewer = false;

  constructor(fetchPage, onchange) {
    this.#fetchPage = fetchPage;
    this.#onchange = onchange;
  }

  get messages() {
    return this.#messages;
  }

  get(id) {
    return this.#messages.find((message) => message.id === id);
  }

  /** The newest page, in place of whatever was there; tried until it comes or is refused. */
  async load() {
    const load = (this.#loads += 1);
    const backoff = (this.#backoff = new Backoff());
    while (load === this.#loads) {
      this.#set({ state: "loading" });
      const problem = await this.#replace(load, {}).catch((error) => error);
      if (!problem || load !== this.#loads) return;
      this.#set({ state: "failed" });
      if (!problem.passing) return;
      await backoff.wait(problem.retryAfterMs);
    }
  }

  /** The network is back: a load that waits for its next try makes it now. */
  wake() {
    this.#backoff.wake();
  }

  /** The page around a message, in place of what was there, which stays where this rejects. */
  async loadAround(id) {
    const load = (this.#loads += 1);
    const before = this.state;
    this.#set({ state: "loading" });
    try {
      await this.#replace(load, { around: id });
    } catch (problem) {
      if (load === this.#loads && before === "ready") this.#settle({ state: "ready" });
      else if (load === this.#loads) this.load();
      throw problem;
    }
  }

  /** The same stretch once more, or near enough: something in it may have been missed. */
  async renew() {
    const middle = this.#messages[this.#messages.length >> 1];
    if (this.hasNewer && middle) await this.loadAround(middle.id).catch(() => this.load());
    else await this.load();
  }

  async #replace(load, where) {
    const page = await this.#fetchPage(where);
    if (load === this.#loads) this.show(page);
  }

  /** A page, in place of whatever was there. */
  show(page) {
    this.#loads += 1;
    this.#messages = page.messages;
    this.#settle({
      state: "ready", older: "idle", newer: "idle",
      hasOlder: page.has_more_before, hasNewer: page.has_more_after,
    });
  }

  async loadOlder() {
    if (this.state !== "ready" || this.older === "loading" || !this.hasOlder) return;
    const load = this.#loads;
    const { id } = this.#messages[0];
    this.#set({ older: "loading" });
    const page = await this.#fetchPage({ before: id }).catch(() => null);
    if (load !== this.#loads) return;
    if (page && this.#messages[0].id === id) {
      this.#messages = [...page.messages, ...this.#messages];
      this.hasOlder = page.has_more_before;
      if (this.#messages.length > CUT_ABOVE) this.#cutNewest();
    }
    this.#settle({ older: page ? "idle" : "failed" });
  }

  async loadNewer() {
    if (this.state !== "ready" || this.newer === "loading" || !this.hasNewer) return;
    const load = this.#loads;
    const { id } = this.#messages.at(-1);
    this.#set({ newer: "loading" });
    const page = await this.#fetchPage({ after: id }).catch(() => null);
    if (load !== this.#loads) return;
    if (page && this.#messages.at(-1).id === id) {
      this.#messages = [...this.#messages, ...page.messages];
      this.hasNewer = page.has_more_after;
      if (this.#messages.length > CUT_ABOVE) this.#cutOldest();
    }
    this.#settle({ newer: page ? "idle" : "failed" });
  }

  /** A message that was sent. One that is here already stays: it may have changed since. */
  add(message) {
    this.#change(() => this.#place(message));
  }

  /** A message as it stands after an edit or its deletion, which is final. */
  update(message) {
    this.#change(() => this.#swap(message.id, (old) => (old.deleted_at ? old : message)));
  }

  /** Some fields of a message are others now: those that `make` makes of it. */
  change(id, make) {
    this.#change(() => this.#swap(id, (old) => ({ ...old, ...make(old) })));
  }

  react(id, emoji, userId) {
    this.#change(() => this.#swap(id, (old) => react(old, emoji, userId)));
  }

  unreact(id, emoji, userId) {
    this.#change(() => this.#swap(id, (old) => unreact(old, emoji, userId)));
  }

  /** Forget the oldest of a long stretch; scrolling up brings them back. */
  trim() {
    if (this.#messages.length > CUT_ABOVE && this.older !== "loading") this.#cutOldest();
  }

  #cutOldest() {
    this.#messages = this.#messages.slice(-KEEP);
    this.hasOlder = true;
  }

  #cutNewest() {
    this.#messages = this.#messages.slice(0, KEEP);
    this.hasNewer = true;
  }

  #change(change) {
    if (this.#loading) this.#missable.push(change);
    change();
    this.#onchange();
  }

  get #loading() {
    return this.state !== "ready" || this.older === "loading" || this.newer === "loading";
  }

  #place(message) {
    if (this.state !== "ready" || this.hasNewer) return; // it comes with its page
    let at = this.#messages.length;
    while (at > 0 && this.#messages[at - 1].id > message.id) at -= 1;
    if (this.#messages[at - 1]?.id === message.id) return;
    if (at === 0 && this.hasOlder) return; // likewise
    this.#messages = this.#messages.toSpliced(at, 0, message);
    if (this.#messages.length > MOST) this.#cutNewest();
  }

  #swap(id, make) {
    this.#messages = this.#messages.map((old) => (old.id === id ? make(old) : old));
  }

  /** A page has come, or has not: changes that it may be older than are made once more. */
  #settle(fields) {
    Object.assign(this, fields);
    for (const change of this.#loading ? this.#missable : this.#missable.splice(0)) change();
    this.#onchange();
  }

  #set(fields) {
    Object.assign(this, fields);
    this.#onchange();
  }
}
