// What fills the main part of the page: the open room, or a few words where none is open.

import { called, icon, members } from "./labels.js";

const find = (id) => document.getElementById(id);

export class Place {
  #room = find("room");
  #blank = find("blank");
  #action = () => {};

  constructor() {
    find("blank-action").addEventListener("click", () => this.#action());
  }

  /** `action` is a button's {label, run}. */
  say(title, note = "", action = null) {
    this.#swap({ room: false });
    find("blank-title").textContent = title;
    find("blank-note").textContent = note;
    find("blank-action").hidden = !action;
    find("blank-action").textContent = action?.label ?? "";
    this.#action = action?.run;
  }

  /** `online`: whether the other one of a direct room is. */
  showRoom(room, online) {
    const { topic, visibility, peer, member_count: count } = room;
    this.#swap({ room: true });
    find("room-name").textContent = called(room);
    find("room-icon").setAttribute("href", icon(visibility));
    find("room-members").textContent = peer ? `@${peer.username} · ${online ? "online" : "offline"}` : members(count);
    find("room-topic").textContent = topic;
    find("room-topic").title = topic;
  }

  #swap({ room }) {
    this.#room.hidden = !room;
    this.#blank.hidden = room;
  }
}
