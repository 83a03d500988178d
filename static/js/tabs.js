// One stream for all tabs of a browser, which opens only six HTTP/1.1 connections per host.
// The tab that holds the lock leads: it has the stream and passes every event on. When it
// goes, the next one opens the stream where the last event that it was passed ended.

import { Stream } from "./stream.js";

const LEADER_SILENT_MS = 60_000; // a leader hears a heartbeat every 18 s, so this one is frozen
const CHECK_EVERY_MS = 10_000;

export class Tabs {
  #name;
  #channel;
  #stream;
  #cursor = "";
  #early = []; // events that came before `start`
  #started = false;
  #leading = false;
  #connected = false;
  #heardAt = Date.now();
  #onevent;
  #onstate;

  /** Listens from now on, so that what is fetched after this call leaves no gap. */
  constructor(name, url, { onevent, onstate, onrefused }) {
    this.#name = name;
    this.#onevent = onevent;
    this.#onstate = onstate;
    this.#stream = new Stream(url, {
      onevent: (event) => this.#pass({ event }),
      onstate: (connected) => this.#pass({ connected }),
      onrefused,
    });
    this.#channel = new BroadcastChannel(name);
    this.#channel.addEventListener("message", ({ data }) => this.#hear(data));
  }

  /** `cursor` is where the fetched state ended. */
  start(cursor) {
    this.#cursor = cursor;
    this.#started = true;
    for (const event of this.#early.splice(0)) this.#take(event);
    this.#channel.postMessage({ hello: true });
    this.#queue();
    setInterval(() => this.#check(), CHECK_EVERY_MS);
  }

  /** After a `reset`: the state was fetched anew and ends at `cursor`. */
  set cursor(cursor) {
    this.#cursor = cursor;
    if (this.#leading) this.#stream.cursor = cursor;
  }

  /** Whether this tab has the stream; exactly one of a browser's tabs does. */
  get leading() {
    return this.#leading;
  }

  revive(how = {}) {
    if (this.#leading) this.#stream.revive(how);
    else this.#channel.postMessage({ revive: how });
  }

  async #queue({ steal = false } = {}) {
    if (!navigator.locks) return this.#lead(); // plain http to another machine: a stream per tab
    try {
      await navigator.locks.request(this.#name, { steal }, () => this.#lead());
    } catch {
      if (!this.#leading) return this.#lead(); // no locks for this page
      this.#leading = false; // stolen by a tab that did not hear us
      this.#stream.close();
      this.#onevent({ type: "reset", data: { room_id: null }, id: "" }); // what the others heard meanwhile
      this.#queue();
    }
  }

  #lead() {
    this.#leading = true;
    this.#stream.open(this.#cursor);
    return new Promise(() => {}); // held until the tab goes
  }

  #check() {
    if (this.#leading || Date.now() - this.#heardAt < LEADER_SILENT_MS) return;
    this.#heardAt = Date.now();
    this.#queue({ steal: true });
  }

  #pass(news) {
    this.#channel.postMessage(news);
    this.#apply(news);
  }

  #hear(news) {
    if (news.hello && this.#leading) this.#channel.postMessage({ connected: this.#connected });
    if (news.revive && this.#leading) this.#stream.revive(news.revive);
    if (!this.#leading) this.#apply(news);
  }

  #apply({ event, connected }) {
    if (event || connected !== undefined) this.#heardAt = Date.now();
    if (event && !this.#started) this.#early.push(event);
    else if (event) this.#take(event);
    if (connected === undefined) return;
    this.#connected = connected;
    this.#onstate(connected);
  }

  #take(event) {
    if (event.id) this.#cursor = event.id;
    this.#onevent(event);
  }
}
