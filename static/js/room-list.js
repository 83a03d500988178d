// The lists in the sidebar: the joined rooms, and the direct ones.

import { paintAvatar } from "./avatar.js";
import { called, icon, most, plural } from "./labels.js";
import { forMe } from "./rooms.js";

const template = document.querySelector("#room-template");

const find = (id) => document.getElementById(id);

export class RoomList {
  #list = find("room-list");
  #directs = find("direct-list");
  #note = find("room-list-note");
  #items = new Map(); // room id → <li>

  /** `presence.has(userId)`: whether the dot of a direct room is lit. */
  render(rooms, openId, presence) {
    const items = new Map(rooms.map((room) => [room.id, this.#items.get(room.id) ?? create(room)]));
    for (const room of rooms) {
      fill(items.get(room.id), room, { current: room.id === openId, online: presence.has(room.peer?.id) });
    }
    this.#items = items;
    const channels = rooms.filter(({ visibility }) => visibility !== "direct");
    this.#arrange(this.#list, channels);
    this.#arrange(this.#directs, rooms.filter((room) => !channels.includes(room)));
    this.#note.textContent = "You are not in any room yet. Browse the open ones, or make your own.";
    this.#note.hidden = channels.length > 0;
  }

  focus(roomId) {
    this.#items.get(roomId)?.querySelector("a").focus();
  }

  #arrange(list, rooms) {
    const order = rooms.map(({ id }) => this.#items.get(id));
    const same = order.length === list.children.length && order.every((item, at) => item === list.children[at]);
    if (!same) list.replaceChildren(...order);
  }
}

function create(room) {
  const item = template.content.firstElementChild.cloneNode(true);
  item.querySelector("a").href = `/rooms/${room.id}`;
  item.querySelector(room.peer ? ".icon" : ".avatar").remove();
  return item;
}

function fill(item, room, { current, online }) {
  const { unread, mentions, archived, peer } = room;
  const link = item.querySelector("a");
  link.setAttribute("aria-label", label(room, online));
  link.toggleAttribute("data-unread", unread > 0);
  link.toggleAttribute("data-archived", archived);
  if (current) link.setAttribute("aria-current", "page");
  else link.removeAttribute("aria-current");
  const avatar = item.querySelector(".avatar");
  if (avatar && peer) paintAvatar(avatar, peer, online);
  else item.querySelector("use")?.setAttribute("href", icon(room.visibility));
  item.querySelector(".room-link-name").textContent = called(room);
  const badge = item.querySelector(".badge");
  badge.hidden = !unread;
  badge.toggleAttribute("data-for-me", forMe(room) > 0);
  badge.dataset.count = mentions && !peer ? `@${most(mentions)}` : most(unread);
}

function label(room, online) {
  const { unread, mentions, archived, peer } = room;
  return [
    called(room),
    online && "online",
    archived && "archived",
    unread && `${unread} unread`,
    mentions && !peer && plural(mentions, "mention"),
  ].filter(Boolean).join(", ");
}
