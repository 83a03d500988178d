// The invitations of a room that wait for an answer, for its moderators, who may take them back.

import { get, remove } from "./api.js";
import { keepRows } from "./keep-rows.js";
import { personRow } from "./people.js";
import { when } from "./times.js";

export class Sent {
  #section = document.querySelector("#sent");
  #list = document.querySelector("#sent-list");
  #room = null;
  #invited = new Set(); // ids of users
  #loads = 0; // only the answer to the last one counts
  #on;

  /** `on`: {withdrawn(user), try(work), loaded()}. */
  constructor(on) {
    this.#on = on;
  }

  has(userId) {
    return this.#invited.has(userId);
  }

  /** `room`: null where the reader may not know. */
  show(room) {
    this.#room = room;
    this.#draw([]);
    if (room) this.load();
  }

  async load() {
    const room = this.#room;
    if (!room) return;
    const load = (this.#loads += 1);
    const { invitations } = await get(`/api/chat/rooms/${room.id}/invitations`).catch(() => ({ invitations: [] }));
    if (room !== this.#room || load !== this.#loads) return;
    this.#draw(invitations);
    this.#on.loaded();
  }

  #draw(invitations) {
    this.#invited = new Set(invitations.map(({ invitee }) => invitee.id));
    keepRows(this.#list, invitations.map((each) => this.#row(each)));
    this.#section.hidden = invitations.length === 0;
  }

  #row({ id, invitee, inviter, created_at: at }) {
    const row = personRow(invitee, {
      note: "Take back",
      run: (button) => this.#on.try(() => this.#withdraw(id, invitee, button)),
    });
    row.dataset.id = id;
    row.querySelector(".who-username").textContent = `by ${inviter.display_name}, ${when(at)}`;
    return row;
  }

  async #withdraw(id, user, button) {
    button.disabled = true;
    try {
      await remove(`/api/chat/invitations/${id}`);
    } catch (problem) {
      button.disabled = false;
      if (problem.status !== 404) throw problem; // 404: answered meanwhile, or taken back
    }
    await this.load();
    this.#on.withdrawn(user);
  }
}
