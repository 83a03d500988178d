// The log: keeps the elements in step with the rows, and the reader's place while they change.

import { createArticle, fillArticle } from "./article.js";
import { day } from "./times.js";

const AT_END_PX = 48; // this close to the end counts as reading along
const NEAR_TOP_PX = 600; // older messages are fetched before the reader gets there

const LINES = {
  loading: "Loading messages…",
  older: "Loading older messages…",
  failed: "The messages could not be loaded.",
  "older-failed": "Older messages could not be loaded.",
  new: "New",
};

export class Log {
  #log;
  #toLatest;
  #shown = new Map(); // key → {row, element}
  #roomId = null;
  #pinned = true;
  #on;

  /** `on`: {end(), top(), reload(), again(clientId), discard(clientId)} */
  constructor(log, toLatest, on) {
    this.#log = log;
    this.#toLatest = toLatest;
    this.#on = on;
    log.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    log.addEventListener("click", (event) => this.#clicked(event));
    toLatest.addEventListener("click", () => this.toEnd());
    new ResizeObserver(() => this.#pinned && this.toEnd()).observe(log);
  }

  /** Whether the reader is at the end and wants to stay there. */
  get pinned() {
    return this.#pinned;
  }

  toEnd() {
    this.#pinned = true;
    this.#log.scrollTop = this.#log.scrollHeight;
  }

  show(roomId, rows, { busy, unread, roomName }) {
    if (roomId !== this.#roomId) this.#clear(roomId);
    this.#log.setAttribute("aria-busy", busy);
    const anchor = this.#pinned ? null : this.#anchor();
    this.#patch(rows, roomName);
    if (anchor) this.#log.scrollTop += anchor.element.offsetTop - anchor.top;
    else this.toEnd();
    this.#offerLatest(unread);
    this.#askForOlder();
  }

  #clear(roomId) {
    this.#roomId = roomId;
    this.#pinned = true;
    this.#shown.clear();
    this.#log.replaceChildren();
  }

  /** The topmost message in view, which must not move on the screen. */
  #anchor() {
    const { scrollTop } = this.#log;
    for (const { row, element } of this.#shown.values()) {
      if (row.kind === "message" && element.offsetTop + element.offsetHeight > scrollTop) {
        return { element, top: element.offsetTop };
      }
    }
    return null;
  }

  #patch(rows, roomName) {
    const old = this.#shown;
    this.#shown = new Map(rows.map((row) => [row.key, this.#render(row, old.get(row.key), roomName)]));
    for (const [key, { element }] of old) {
      if (this.#shown.get(key)?.element !== element) element.remove();
    }
    let place = this.#log.firstElementChild;
    for (const { element } of this.#shown.values()) {
      if (element === place) place = place.nextElementSibling;
      else this.#log.insertBefore(element, place);
    }
  }

  #render(row, shown, roomName) {
    if (shown && same(shown.row, row)) return shown;
    if (row.kind !== "message") return { row, element: line(row, roomName) };
    const element = shown?.element ?? createArticle();
    fillArticle(element, row);
    return { row, element };
  }

  #offerLatest(unread) {
    this.#toLatest.hidden = this.#pinned;
    this.#toLatest.lastElementChild.textContent =
      unread ? `${unread} new ${unread === 1 ? "message" : "messages"}` : "Jump to latest";
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.#log;
    this.#pinned = scrollHeight - clientHeight - scrollTop < AT_END_PX;
    this.#toLatest.hidden = this.#pinned;
    if (this.#pinned) this.#on.end();
    this.#askForOlder();
  }

  #askForOlder() {
    if (this.#log.scrollTop < NEAR_TOP_PX && this.#shown.get("head")?.row.kind === "older") this.#on.top();
  }

  #clicked({ target }) {
    const { clientId } = target.closest("article")?.dataset ?? {};
    if (target.matches(".again")) this.#on.again(clientId);
    if (target.matches(".discard")) this.#on.discard(clientId);
    if (target.matches(".reload")) this.#on.reload();
  }
}

function same(a, b) {
  if (a.kind !== b.kind || a.grouped !== b.grouped) return false;
  if (a.message === b.message) return true;
  return a.message.id === null && b.message.id === null &&
    a.message.state === b.message.state && a.message.reason === b.message.reason;
}

/** Everything in the log that is not a message: one line of our own words. */
function line({ kind, at }, roomName) {
  const element = document.createElement("div");
  element.className = `line ${kind}`;
  const text = document.createElement("span");
  text.textContent = kind === "day" ? day(at) : LINES[kind] ?? `This is the beginning of ${roomName}.`;
  element.append(text);
  if (kind.endsWith("failed")) element.append(reloadButton());
  return element;
}

function reloadButton() {
  const button = document.createElement("button");
  button.className = "link reload";
  button.type = "button";
  button.textContent = "Load again";
  return button;
}
