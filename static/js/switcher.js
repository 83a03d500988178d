// The way to any room or person by a few letters: Ctrl+K, type, Enter.

import { get } from "./api.js";
import { paintAvatar } from "./avatar.js";
import { called, icon } from "./labels.js";
import { places } from "./places.js";

const PAUSE_MS = 150; // of typing, before the server is asked for people
const PEOPLE = 5; // at most
const LATEST = 20; // rooms whose order is remembered

const template = document.querySelector("#place-template");

export class Switcher {
  #dialog = document.querySelector("#switch-dialog");
  #input = document.querySelector("#switch-input");
  #list = document.querySelector("#switch-list");
  #none = document.querySelector("#switch-none");
  #latest = []; // ids of rooms, the last one first
  #options = []; // {element, run, peer}
  #at = 0;
  #chosen = false; // by an arrow key, which the server's answer does not take back
  #asked = 0;
  #timer = 0;
  #on;

  /** `on`: {rooms(), online(userId), me, go(room), talk(user), search(text)}. */
  constructor(on) {
    this.#on = on;
    this.#input.addEventListener("input", () => this.#typed());
    this.#input.addEventListener("keydown", (event) => this.#key(event));
    this.#list.addEventListener("click", ({ target }) => {
      const at = this.#options.findIndex(({ element }) => element.contains(target));
      if (at >= 0) this.#take(at);
    });
  }

  show() {
    if (this.#dialog.open) return;
    this.#input.value = "";
    this.#asked += 1;
    this.#chosen = false;
    this.#draw();
    this.#dialog.showModal();
  }

  /** The reader is in this room now. */
  visited(roomId) {
    this.#latest = [roomId, ...this.#latest.filter((id) => id !== roomId)].slice(0, LATEST);
  }

  get #text() {
    return this.#input.value.trim();
  }

  #typed() {
    this.#chosen = false;
    this.#draw();
    clearTimeout(this.#timer);
    const asked = (this.#asked += 1);
    if (!this.#text) return;
    this.#timer = setTimeout(async () => {
      const query = new URLSearchParams({ q: this.#text.replace(/^@/, "") || "@", limit: PEOPLE });
      const { users } = await get(`/api/users?${query}`).catch(() => ({ users: [] }));
      if (asked === this.#asked) this.#add(users);
    }, PAUSE_MS);
  }

  #draw() {
    const elsewhere = this.#on.rooms().filter(({ id }) => this.#text || id !== this.#latest[0]);
    const rooms = places(elsewhere, this.#text.replace(/^[@#]/, ""), this.#latest.slice(1));
    this.#options = [
      ...rooms.map((room) => this.#room(room)),
      ...(this.#text ? [this.#searching(this.#text)] : []),
    ];
    this.#list.replaceChildren(...this.#options.map(({ element }) => element));
    this.#number(0);
  }

  /** The server's answer: what is there stays, and stays chosen if the reader chose it. */
  #add(users) {
    const chosen = this.#chosen && this.#options[this.#at];
    const known = new Set([this.#on.me.id, ...this.#options.map(({ peer }) => peer?.id)]);
    const people = users.filter(({ id }) => !known.has(id)).map((user) => this.#person(user));
    this.#options.splice(-1, 0, ...people); // the last one searches messages
    this.#list.lastElementChild.before(...people.map(({ element }) => element));
    this.#number(Math.max(0, this.#options.indexOf(chosen)));
  }

  #number(at) {
    this.#options.forEach(({ element }, each) => { element.id = `place-${each}`; });
    this.#none.hidden = this.#options.length > 0;
    this.#choose(at);
  }

  #room(room) {
    const { unread, peer } = room;
    const note = unread ? `${unread} unread` : "";
    const option = create({ name: called(room), note, icon: icon(room.visibility), user: peer, online: this.#on.online(peer?.id) });
    return { element: option, peer, run: () => this.#on.go(room) };
  }

  #person(user) {
    const option = create({ name: user.display_name, note: `@${user.username}`, user, online: this.#on.online(user.id) });
    return { element: option, run: () => this.#on.talk(user) };
  }

  #searching(text) {
    const option = create({ name: `Search messages for “${text}”`, note: "", icon: "#icon-find" });
    return { element: option, run: () => this.#on.search(text) };
  }

  #key(event) {
    const { key, isComposing } = event;
    if (isComposing) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[key];
    if (step || key === "Enter") event.preventDefault();
    const { length } = this.#options;
    if (step && length) {
      this.#chosen = true;
      this.#choose((this.#at + step + length) % length);
    }
    if (key === "Enter" && length) this.#take(this.#at);
  }

  #choose(at) {
    this.#at = at;
    this.#options.forEach(({ element }, each) => element.setAttribute("aria-selected", each === at));
    this.#options[at]?.element.scrollIntoView({ block: "nearest" });
    if (this.#options.length) this.#input.setAttribute("aria-activedescendant", `place-${at}`);
    else this.#input.removeAttribute("aria-activedescendant");
  }

  #take(at) {
    const { run } = this.#options[at];
    this.#asked += 1;
    this.#dialog.close();
    run();
  }
}

function create({ name, note, icon: sign, user, online }) {
  const element = template.content.firstElementChild.cloneNode(true);
  if (user) paintAvatar(element.querySelector(".avatar"), user, online);
  else element.querySelector("use").setAttribute("href", sign);
  element.querySelector(user ? ".icon" : ".avatar").remove();
  element.querySelector(".place-name").textContent = name;
  element.querySelector(".place-note").textContent = note;
  return element;
}
