// The dialogs about rooms that the reader is not in yet: make one, browse the public ones.

import { get, post } from "./api.js";
import { closeButtons, onSubmit } from "./forms.js";
import { keepRows } from "./keep-rows.js";
import { members } from "./labels.js";

const SEARCH_PAUSE_MS = 200; // of typing, before the server is asked
const ROOMS_PER_PAGE = 50;

export class NewRoomDialog {
  #dialog = document.querySelector("#new-room-dialog");
  #form = document.querySelector("#new-room-form");

  constructor(oncreated) {
    closeButtons(this.#dialog);
    onSubmit(this.#form, async ({ name, topic, private: hidden }) => {
      const visibility = hidden.checked ? "private" : "public";
      const room = await post("/api/chat/rooms", { name: name.value.trim(), topic: topic.value.trim(), visibility });
      this.#dialog.close();
      oncreated(room);
    });
  }

  show() {
    this.#form.reset();
    this.#dialog.showModal();
  }
}

export class BrowseDialog {
  #dialog = document.querySelector("#browse-dialog");
  #search = document.querySelector("#browse-search");
  #problem = document.querySelector("#browse-problem");
  #rows = document.querySelector("#browse-rows");
  #note = document.querySelector("#browse-note");
  #more = document.querySelector("#browse-more");
  #template = document.querySelector("#browse-template");
  #next = null;
  #asked = 0; // only the answer to the last question counts
  #timer = 0;
  #onopen;

  /** `onopen(room)`: the reader wants to be in the room, and is a member by now. */
  constructor(onopen) {
    this.#onopen = onopen;
    closeButtons(this.#dialog);
    this.#search.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#load(), SEARCH_PAUSE_MS);
    });
    this.#more.addEventListener("click", () => this.#load(this.#next));
  }

  show() {
    this.#search.value = "";
    this.#rows.replaceChildren();
    this.#dialog.showModal();
    this.#load();
  }

  async #load(after = null) {
    const asked = (this.#asked += 1);
    const q = this.#search.value.trim();
    const query = new URLSearchParams({ limit: ROOMS_PER_PAGE, ...(q && { q }), ...(after && { after }) });
    this.#more.hidden = true;
    this.#problem.textContent = "";
    if (this.#rows.children.length === 0) this.#say("Loading…");
    try {
      const page = await get(`/api/chat/rooms?${query}`);
      if (asked === this.#asked) this.#show(page, { q, append: after !== null });
    } catch (problem) {
      if (asked === this.#asked) this.#fail(problem);
    }
  }

  #show({ rooms, next }, { q, append }) {
    const rows = rooms.filter(({ visibility }) => visibility === "public").map((room) => this.#row(room));
    if (append) this.#rows.append(...rows);
    else keepRows(this.#rows, rows);
    this.#next = next;
    this.#more.hidden = next === null;
    const none = q ? `No room is called “${q}”.` : "There is no public room yet. Make the first one.";
    this.#say(this.#rows.children.length > 0 || next !== null ? "" : none);
  }

  #row(room) {
    const row = this.#template.content.firstElementChild.cloneNode(true);
    row.dataset.id = room.id;
    row.querySelector(".browse-name").textContent = room.name;
    row.querySelector(".browse-topic").textContent = room.topic;
    row.querySelector(".browse-members").textContent = members(room.member_count);
    const button = row.querySelector("button");
    button.textContent = room.joined ? "Open" : "Join";
    button.addEventListener("click", () => this.#enter(room, button));
    return row;
  }

  async #enter(room, button) {
    button.disabled = true;
    try {
      const joined = room.joined ? room : await post(`/api/chat/rooms/${room.id}/join`);
      this.#dialog.close();
      this.#onopen(joined);
    } catch (problem) {
      this.#fail(problem);
      button.disabled = false;
    }
  }

  #fail(problem) {
    this.#say("");
    this.#problem.textContent = problem.sentences.join(" ");
  }

  #say(text) {
    this.#note.textContent = text;
    this.#note.hidden = !text;
  }
}
