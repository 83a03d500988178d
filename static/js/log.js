// The log: keeps the elements in step with the rows, and the reader's place while they change.

import { createArticle, fillArticle } from "./article.js";
import { createLine } from "./lines.js";

const AT_END_PX = 48; // this close to the end counts as reading along
const NEAR_PX = 600; // older and newer messages are fetched before the reader gets there
const NAMED = ["message", "start"]; // rows that say how somebody, or the room, is called
const FOUND_MS = 2_500; // as long as a message that was jumped to stands out

export class Log {
  #log;
  #shown = new Map(); // key → {row, element}
  #rows = new WeakMap(); // element → row
  #roomId = null;
  #pinned = true;
  #endTop = 0; // where the log was scrolled to when it was last brought to its end
  #hasNewer = false;
  #loaded = false; // the last drawing had messages on their way
  #version = 0;
  #roomName = "";
  #on;

  /** `on`: {moved(), top(), bottom()} */
  constructor(log, on) {
    this.#log = log;
    this.#on = on;
    log.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    // Where the log grows down to its end, no scroll is told.
    new ResizeObserver(() => (this.pinned ? this.toEnd() : this.#scrolled())).observe(log);
  }

  /**
   * What is typed into `field` changes the height of the log above it. To replace a text the
   * browser takes the old one away first, which may scroll the log; the reader did not.
   */
  yieldTo(field) {
    field.addEventListener("beforeinput", () => this.#notice());
    field.addEventListener("input", () => this.#pinned && this.toEnd());
  }

  /** Whether the reader is at the end, or on the way to it, and wants to stay there. */
  get pinned() {
    this.#notice();
    return this.#pinned;
  }

  /** The browser tells of a scroll with its next frame; a drawing before that must know it, too. */
  #notice() {
    if (!this.#pinned || this.#endTop === 0) return; // nor is a log laid out before it was shown
    if (this.#log.scrollTop < this.#endTop) this.#pinned = this.#fromEnd < AT_END_PX;
  }

  get #fromEnd() {
    const { scrollTop, scrollHeight, clientHeight } = this.#log;
    return scrollHeight - clientHeight - scrollTop;
  }

  /** To the last message; where it is not here yet, once it is. */
  toEnd() {
    this.#pinned = true;
    this.#log.scrollTop = this.#log.scrollHeight;
    this.#endTop = this.#log.scrollTop;
  }

  /** The message that an element shows. */
  messageOf(element) {
    return this.#rows.get(element)?.message;
  }

  /** Where the line above the first new message is: "above", "here", "below" or, unloaded, null. */
  get newLine() {
    const element = this.#shown.get("new")?.element;
    if (!element) return null;
    const { scrollTop, clientHeight } = this.#log;
    if (element.offsetTop + element.offsetHeight <= scrollTop) return "above";
    return element.offsetTop < scrollTop + clientHeight ? "here" : "below";
  }

  /** `version` differs where names may be known that were not; `context` is for the articles. */
  show(roomId, rows, { busy, hasNewer, roomName, version, context }) {
    const entered = roomId !== this.#roomId;
    if (entered) this.#clear(roomId);
    this.#log.setAttribute("aria-busy", busy);
    // A page of the past is no news to be read out.
    this.#log.setAttribute("aria-live", entered || this.#loaded ? "off" : "polite");
    this.#loaded = busy;
    this.#hasNewer = hasNewer;
    const anchor = this.pinned ? null : this.#anchor();
    const renamed = version !== this.#version || roomName !== this.#roomName;
    this.#version = version;
    this.#roomName = roomName;
    this.#patch(rows, { ...context, renamed });
    if (!anchor) this.toEnd();
    else if (anchor.element.isConnected) this.#log.scrollTop += anchor.element.offsetTop - anchor.top;
    this.#askForMore();
  }

  /** Bring a row into view and let it stand out; whether it is there. */
  reveal(wanted) {
    const { row, element } = [...this.#shown.values()].find((shown) => wanted(shown.row)) ?? {};
    if (!row) return false;
    const above = (this.#log.clientHeight - element.offsetHeight) / (row.kind === "message" ? 2 : 4);
    this.#log.scrollTop = element.offsetTop - Math.max(above, 0);
    this.#pinned = false;
    this.#scrolled();
    if (row.kind !== "message") return true;
    element.focus({ preventScroll: true });
    element.classList.add("found");
    setTimeout(() => element.classList.remove("found"), FOUND_MS);
    return true;
  }

  #clear(roomId) {
    this.#roomId = roomId;
    this.#pinned = true;
    this.#shown.clear();
    this.#log.replaceChildren();
  }

  /**
   * The topmost message in view, which must not move on the screen; not the first of all, which
   * loses its day and its byline to older ones.
   */
  #anchor() {
    const { scrollTop } = this.#log;
    const messages = [...this.#shown.values()].filter(({ row }) => row.kind === "message");
    const seen = messages.find(({ element }, at) => at > 0 && element.offsetTop + element.offsetHeight > scrollTop);
    const { element } = seen ?? messages[0] ?? {};
    return element ? { element, top: element.offsetTop } : null;
  }

  #patch(rows, context) {
    const old = this.#shown;
    this.#shown = new Map(rows.map((row) => [row.key, this.#render(row, old.get(row.key), context)]));
    for (const [key, { element }] of old) {
      if (this.#shown.get(key)?.element !== element) this.#remove(element);
    }
    let place = this.#log.firstElementChild;
    for (const { row, element } of this.#shown.values()) {
      this.#rows.set(element, row);
      if (element === place) place = place.nextElementSibling;
      else this.#log.insertBefore(element, place);
    }
  }

  /** What is taken away does not take the focus with it. */
  #remove(element) {
    if (element.contains(document.activeElement)) this.#log.focus({ preventScroll: true });
    element.remove();
  }

  #render(row, shown, context) {
    if (shown && same(shown.row, row) && !(context.renamed && NAMED.includes(row.kind))) return shown;
    if (row.kind !== "message") return { row, element: createLine(row, this.#roomName) };
    const element = shown?.element ?? createArticle();
    fillArticle(element, row, shown?.row, context);
    return { row, element };
  }

  #scrolled() {
    if (this.#fromEnd >= AT_END_PX) this.#pinned = false;
    else this.#pinned ||= !this.#hasNewer;
    this.#on.moved();
    this.#askForMore();
  }

  #askForMore() {
    const { scrollTop, scrollHeight, clientHeight } = this.#log;
    if (scrollTop < NEAR_PX && this.#shown.get("head")?.row.kind === "older") this.#on.top();
    if (scrollHeight - clientHeight - scrollTop < NEAR_PX && this.#shown.get("foot")?.row.kind === "newer") this.#on.bottom();
  }
}

function same(a, b) {
  if (a.kind !== b.kind || a.grouped !== b.grouped || a.quote !== b.quote) return false;
  if (a.message === b.message) return true;
  return a.message.id === null && b.message.id === null &&
    a.message.state === b.message.state && a.message.reason === b.message.reason;
}
