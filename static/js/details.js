// The panel of the open room: what it is, who is in it, and who is kept out.

import { get, remove } from "./api.js";
import { keepRows } from "./keep-rows.js";
import { members as count } from "./labels.js";
import { personRow } from "./people.js";
import { invites, moderates } from "./ranks.js";
import { Roster } from "./roster.js";

const PER_PAGE = 200; // members
const ROLE_NAMES = { owner: "Owner", moderator: "Moderator", member: "" };

const find = (id) => document.getElementById(id);

export class Details {
  #room = null;
  #roster = new Roster();
  #next = null;
  #loads = 0;
  #banLoads = 0; // only the answer to the last one counts
  #drawn = "";
  #online;
  #onperson;

  /** `online(userId)`; `onperson(user, role)`: somebody was chosen. */
  constructor({ online, onperson }) {
    this.#online = online;
    this.#onperson = onperson;
    find("members-more").addEventListener("click", () => this.#load(this.#next));
  }

  get roster() {
    return this.#roster;
  }

  show(room) {
    this.#room = room;
    this.#roster = new Roster();
    this.#next = null;
    this.#drawn = "";
    find("member-list").replaceChildren();
    find("banned").hidden = true;
    this.#load();
    this.loadBans();
  }

  hide() {
    this.#room = null;
  }

  /** The card of this person is closed; their row, which may be a new one, gets the focus back. */
  focus({ id }) {
    const focused = document.activeElement;
    if (focused !== document.body && !focused.closest("dialog")) return; // it went elsewhere
    (find("member-list").querySelector(`[data-user-id="${id}"]`) ?? find("members-title")).focus();
  }

  hear({ type, data }) {
    if (type === "user.update") this.#roster.rename(data);
    if (!this.#room || data.room_id !== this.#room.id || !type.startsWith("member.")) return;
    this.#roster.hear(type, data);
    this.loadBans();
  }

  draw(room) {
    if (!this.#room) return;
    this.#room = room;
    const direct = room.visibility === "direct";
    find("details-title").textContent = direct ? "Conversation" : "Room details";
    find("details-topic").textContent = room.topic || (direct ? "Only the two of you can read this." : "This room has no topic.");
    find("invite").hidden = !invites(room);
    find("room-settings").hidden = direct || !moderates(room.role);
    find("leave-room").hidden = direct;
    find("members-title").textContent = count(room.member_count);
    this.#drawMembers();
  }

  #drawMembers() {
    const members = this.#roster.sorted;
    const drawn = JSON.stringify(members.map(({ user, role }) => [user.id, user.display_name, role, this.#online(user.id)]));
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    const focused = document.activeElement?.closest("#member-list button")?.dataset.userId;
    const rows = members.map(({ user, role }) => personRow(user, {
      online: this.#online(user.id),
      note: ROLE_NAMES[role],
      run: () => this.#onperson(user, role),
    }));
    keepRows(find("member-list"), rows);
    if (focused && !document.activeElement.closest("#member-list")) find("member-list").querySelector(`[data-user-id="${focused}"]`)?.focus();
  }

  async #load(after = null) {
    const load = (this.#loads += 1);
    find("members-note").textContent = after ? "" : "Loading…";
    find("members-more").hidden = true;
    const query = new URLSearchParams({ limit: PER_PAGE, ...(after && { after }) });
    try {
      const { members, next } = await get(`/api/chat/rooms/${this.#room.id}/members?${query}`);
      if (load !== this.#loads || !this.#room) return;
      this.#roster.add(members);
      this.#next = next;
      find("members-more").hidden = next === null;
      find("members-note").textContent = "";
      this.#drawMembers();
    } catch (problem) {
      if (load === this.#loads) find("members-note").textContent = problem.message;
    }
  }

  async loadBans() {
    const room = this.#room;
    if (!room || !moderates(room.role) || room.visibility === "direct") return;
    const load = (this.#banLoads += 1);
    try {
      const { bans } = await get(`/api/chat/rooms/${room.id}/bans?limit=${PER_PAGE}`);
      if (room.id !== this.#room?.id || load !== this.#banLoads) return;
      find("banned").hidden = bans.length === 0;
      keepRows(find("ban-list"), bans.map((ban) => this.#banRow(ban)));
    } catch {
      find("banned").hidden = true; // the next opening asks again
    }
  }

  #banRow({ user, reason, by }) {
    const row = personRow(user, { note: "Let in again", run: (button) => this.#unban(user, button) });
    row.querySelector(".who-username").textContent = reason || `by ${by.display_name}`;
    return row;
  }

  async #unban(user, button) {
    button.disabled = true;
    await remove(`/api/chat/rooms/${this.#room.id}/bans/${user.id}`).catch(() => {});
    await this.loadBans();
    find("members-title").focus();
  }
}
