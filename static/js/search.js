// The panel that searches what was said, and leads to each message in its place.

import { get } from "./api.js";
import { paintAvatar } from "./avatar.js";
import { keepRows } from "./keep-rows.js";
import { called } from "./labels.js";
import { timeAndDate, when } from "./times.js";

const PAUSE_MS = 250; // of typing, before the server is asked
const PER_PAGE = 20;

const template = document.querySelector("#result-template");
const find = (id) => document.getElementById(id);

export class Search {
  #form = find("search-form");
  #list = find("search-results");
  #note = find("search-note");
  #more = find("search-more");
  #next = null;
  #asked = 0; // only the answer to the last question counts
  #timer = 0;
  #on;

  /** `on`: {rooms(), people(), open(roomId, messageId)}. */
  constructor(on) {
    this.#on = on;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#look();
    });
    this.#form.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#look(), PAUSE_MS);
    });
    this.#more.addEventListener("click", () => this.#load(this.#next));
  }

  /** The panel is open now; `room` is the one in view, `text` what to look for, where it is known. */
  show(room, text = null) {
    const { q, room: within } = this.#form.elements;
    if (text !== null) this.#offerRooms("");
    else this.#offerRooms(this.#words ? within.value : room?.id);
    find("search-people").replaceChildren(...this.#on.people().map(({ username, display_name: name }) => option(username, name)));
    if (text !== null) q.value = text;
    q.select();
    this.#look();
  }

  /** Another room is in view: it is the one to search, unless words are looked for elsewhere. */
  follow(room) {
    if (!this.#words) this.#offerRooms(room.id);
  }

  /** What is looked for. */
  get #words() {
    return this.#form.elements.q.value.trim();
  }

  /** `chosen`: a room's id, or nothing for all. */
  #offerRooms(chosen) {
    const { room: within } = this.#form.elements;
    const rooms = this.#on.rooms();
    within.replaceChildren(option("", "All rooms"), ...rooms.map((each) => option(each.id, called(each))));
    within.value = rooms.some(({ id }) => id === Number(chosen)) ? chosen : "";
  }

  #look() {
    clearTimeout(this.#timer);
    this.#asked += 1;
    if (this.#words) return this.#load();
    this.#list.replaceChildren();
    this.#more.hidden = true;
    this.#say("Find what was said in your rooms: words, the beginning of a word, or “a phrase”.");
  }

  async #load(before = null) {
    const asked = (this.#asked += 1);
    const { room, author } = this.#form.elements;
    const from = author.value.trim().replace(/^@/, "");
    const query = new URLSearchParams({
      q: this.#words, limit: PER_PAGE, ...(room.value && { room: room.value }), ...(from && { author: from }), ...(before && { before }),
    });
    this.#more.hidden = true;
    if (this.#list.children.length === 0) this.#say("Searching…");
    try {
      const page = await get(`/api/search?${query}`);
      if (asked === this.#asked) this.#show(page, before !== null);
    } catch (problem) {
      if (asked === this.#asked) this.#say(problem.sentences.join(" "));
    }
  }

  #show({ results, next }, append) {
    const rows = results.map((each) => this.#row(each));
    if (append) this.#list.append(...rows);
    else keepRows(this.#list, rows);
    if (append) rows[0]?.querySelector("button").focus();
    this.#next = next;
    this.#more.hidden = next === null;
    const { length } = this.#list.children;
    this.#say(length ? `${length}${next ? " and more" : ""} found, newest first` : `Nothing was found for “${this.#words}”.`);
  }

  #row({ room_id: roomId, message, snippet }) {
    const row = template.content.firstElementChild.cloneNode(true);
    const room = this.#on.rooms().find(({ id }) => id === roomId);
    const author = this.#on.person(message.author);
    row.dataset.id = message.id;
    paintAvatar(row.querySelector(".avatar"), author);
    row.querySelector(".result-author").textContent = author.display_name;
    row.querySelector(".result-room").textContent = room ? called(room) : "";
    row.querySelector("time").dateTime = message.created_at;
    row.querySelector("time").textContent = when(message.created_at);
    row.querySelector("time").title = timeAndDate(message.created_at);
    row.querySelector(".result-text").innerHTML = snippet; // from the server: escaped, but for <mark>
    row.querySelector("button").addEventListener("click", () => this.#on.open(roomId, message.id));
    return row;
  }

  #say(text) {
    if (this.#note.textContent !== text) this.#note.textContent = text;
  }
}

function option(value, label) {
  const element = document.createElement("option");
  element.value = value;
  element.label = label;
  element.textContent = label;
  return element;
}
