// Rows of people, and a field that finds them.

import { get } from "./api.js";
import { paintAvatar } from "./avatar.js";
import { keepRows } from "./keep-rows.js";

const PAUSE_MS = 200; // of typing, before the server is asked
const FOUND = 20; // people

const template = document.querySelector("#who-template");

/** A row with a button that runs `run(button)`. `note` stands at its end. */
export function personRow(user, { online = false, note = "", run }) {
  const row = template.content.firstElementChild.cloneNode(true);
  const button = row.querySelector("button");
  paintAvatar(row.querySelector(".avatar"), user, online);
  row.querySelector(".who-name").textContent = user.display_name;
  row.querySelector(".who-username").textContent = `@${user.username}`;
  row.querySelector(".unseen").textContent = online ? ", online" : "";
  row.querySelector(".who-note").textContent = note;
  button.dataset.userId = user.id;
  button.addEventListener("click", () => run(button));
  return row;
}

export class PeopleSearch {
  #input;
  #list;
  #note;
  #on;
  #timer = 0;
  #users = [];
  #asked = 0; // only the answer to the last question counts

  /** `on`: {known(): users to begin with, row(user): element, fail(problem)}. */
  constructor(root, on) {
    this.#input = root.querySelector("input");
    this.#list = root.querySelector("ul");
    this.#note = root.querySelector(".who-none");
    this.#on = on;
    this.#input.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#search(), PAUSE_MS);
    });
    root.addEventListener("keydown", (event) => this.#walk(event));
  }

  start() {
    this.#input.value = "";
    this.#search();
  }

  async #search() {
    const asked = (this.#asked += 1);
    const q = this.#input.value.trim().replace(/^@/, "");
    if (!q) return this.#show(this.#on.known(), "Type the first letters of a name or a username.");
    try {
      const { users } = await get(`/api/users?${new URLSearchParams({ q, limit: FOUND })}`);
      if (asked === this.#asked) this.#show(users, `Nobody's name begins with “${q}”.`);
    } catch (problem) {
      if (asked === this.#asked) this.#on.fail(problem);
    }
  }

  /** Something about those who are shown has changed; what has the focus keeps it. */
  draw() {
    const focused = this.#list.contains(document.activeElement) && document.activeElement.dataset.userId;
    this.#fill();
    if (focused) (this.#list.querySelector(`[data-user-id="${focused}"]:enabled`) ?? this.#input).focus();
  }

  #show(users, none) {
    this.#users = users;
    this.#fill();
    this.#note.textContent = this.#list.children.length ? "" : none;
  }

  #fill() {
    keepRows(this.#list, this.#users.map((user) => this.#on.row(user)).filter(Boolean));
  }

  /** The arrows go from the field through the list and back. */
  #walk(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const stops = [this.#input, ...this.#list.querySelectorAll("button")];
    const next = stops[stops.indexOf(event.target) + step];
    if (!next) return;
    event.preventDefault();
    next.focus();
  }
}
