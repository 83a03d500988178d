// The dialog that begins a direct conversation.

import { post } from "./api.js";
import { closeButtons } from "./forms.js";
import { PeopleSearch, personRow } from "./people.js";

export class DirectDialog {
  #dialog = document.querySelector("#direct-dialog");
  #problem = this.#dialog.querySelector(".problem");
  #search;
  #onopen;

  /** `onopen(room)`; `known()` are the people to begin with. */
  constructor(me, { known, online, onopen }) {
    this.#onopen = onopen;
    this.#search = new PeopleSearch(this.#dialog, {
      known,
      row: (user) => user.id !== me.id && personRow(user, { online: online(user.id), run: () => this.#choose(user) }),
      fail: (problem) => this.#fail(problem),
    });
    closeButtons(this.#dialog);
  }

  show() {
    this.#problem.textContent = "";
    this.#search.start();
    this.#dialog.showModal();
  }

  async #choose(user) {
    try {
      const room = await direct(user.id);
      this.#dialog.close();
      this.#onopen(room);
    } catch (problem) {
      this.#fail(problem);
    }
  }

  #fail(problem) {
    this.#problem.textContent = problem.sentences.join(" ");
  }
}

/** The one room of the reader and another person. */
export const direct = (userId) => post("/api/chat/direct", { user_id: userId });
