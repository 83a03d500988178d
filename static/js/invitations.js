// The invitations that wait for the reader, in the sidebar.

import { get, post, remove } from "./api.js";
import { keepRows } from "./keep-rows.js";

const template = document.querySelector("#invitation-template");

export class Invitations {
  #section = document.querySelector("#invitations");
  #list = document.querySelector("#invitation-list");
  #onaccepted;
  #onproblem;
  #loads = 0;

  /** `onaccepted(room)`, `onproblem(text)`. */
  constructor({ onaccepted, onproblem }) {
    this.#onaccepted = onaccepted;
    this.#onproblem = onproblem;
  }

  /** What was asked for last is shown: an earlier answer may be without what came since. */
  async load() {
    const load = (this.#loads += 1);
    try {
      const { invitations } = await get("/api/chat/invitations");
      if (load !== this.#loads) return;
      keepRows(this.#list, invitations.map((each) => this.#row(each)));
      this.#section.hidden = invitations.length === 0;
    } catch {
      // The next `ready` of the stream asks again.
    }
  }

  /** Somebody is called otherwise from now on. */
  rename({ id, display_name: name }) {
    for (const row of this.#list.querySelectorAll(`[data-inviter-id="${id}"]`)) {
      row.querySelector(".invitation-by").textContent = `from ${name}`;
    }
  }

  #row({ id, room, inviter }) {
    const row = template.content.firstElementChild.cloneNode(true);
    row.querySelector(".invitation-room").textContent = room.name;
    row.querySelector(".invitation-by").textContent = `from ${inviter.display_name}`;
    row.dataset.id = id;
    row.dataset.inviterId = inviter.id;
    const [accept, decline] = row.querySelectorAll("button");
    accept.setAttribute("aria-label", `Accept invitation to ${room.name}`);
    decline.setAttribute("aria-label", `Decline invitation to ${room.name}`);
    accept.addEventListener("click", () => this.#answer(async () => (
      this.#onaccepted(await post(`/api/chat/invitations/${id}/accept`))
    )));
    decline.addEventListener("click", () => this.#answer(() => remove(`/api/chat/invitations/${id}`)));
    return row;
  }

  async #answer(work) {
    try {
      await work();
    } catch (problem) {
      this.#onproblem(problem.message);
    }
    await this.load();
  }
}
