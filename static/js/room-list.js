// The list of joined rooms in the sidebar.

import { icon } from "./labels.js";

const template = document.querySelector("#room-template");
const MOST = 99; // a badge has room for two digits

export class RoomList {
  #list;
  #note;
  #items = new Map(); // room id → <li>

  constructor(list, note) {
    this.#list = list;
    this.#note = note;
  }

  render(rooms, openId) {
    const items = new Map(rooms.map((room) => [room.id, this.#items.get(room.id) ?? create(room)]));
    rooms.forEach((room) => fill(items.get(room.id), room, room.id === openId));
    const order = [...items.values()];
    if (order.some((item, at) => item !== this.#list.children[at]) || order.length !== this.#items.size) {
      this.#list.replaceChildren(...order);
    }
    this.#items = items;
    this.#note.textContent = "You are in no room yet. Browse the open ones, or make your own.";
    this.#note.hidden = rooms.length > 0;
  }

  focus(roomId) {
    this.#items.get(roomId)?.querySelector("a").focus();
  }
}

function create(room) {
  const item = template.content.firstElementChild.cloneNode(true);
  item.querySelector("a").href = `/rooms/${room.id}`;
  return item;
}

function fill(item, { name, visibility, unread }, current) {
  const link = item.querySelector("a");
  link.setAttribute("aria-label", unread ? `${name}, ${unread} unread` : name);
  link.toggleAttribute("data-unread", unread > 0);
  if (current) link.setAttribute("aria-current", "page");
  else link.removeAttribute("aria-current");
  item.querySelector("use").setAttribute("href", icon(visibility));
  item.querySelector(".room-link-name").textContent = name;
  const badge = item.querySelector(".badge");
  badge.hidden = !unread;
  badge.textContent = unread > MOST ? `${MOST}+` : unread;
}
