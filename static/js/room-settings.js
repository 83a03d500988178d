// The dialog of a room's settings: moderators change name and topic, owners everything.

import { patch, remove } from "./api.js";
import { closeButtons, onSubmit } from "./forms.js";
import { ask } from "./question.js";
import { owns } from "./ranks.js";

export class RoomSettings {
  #dialog = document.querySelector("#settings-dialog");
  #form = document.querySelector("#settings-form");
  #owners = document.querySelector("#settings-owners");
  #archive = document.querySelector("#settings-archive");
  #hint = document.querySelector("#settings-archive-hint");
  #problem = this.#dialog.querySelector(".problem");
  #room = null;
  #onchanged;

  /** `onchanged(room)`. */
  constructor(onchanged) {
    this.#onchanged = onchanged;
    closeButtons(this.#dialog);
    onSubmit(this.#form, async ({ name, topic, private: hidden }) => {
      const visibility = hidden.checked ? "private" : "public";
      await this.#change({
        name: name.value.trim(),
        topic: topic.value.trim(),
        ...(owns(this.#room.role) && visibility !== this.#room.visibility && { visibility }),
      });
      this.#dialog.close();
    });
    this.#archive.addEventListener("click", () => this.#try(() => this.#toggleArchive()));
    document.querySelector("#settings-delete").addEventListener("click", () => this.#try(() => this.#delete()));
  }

  show(room) {
    const { name, topic, private: hidden } = this.#form.elements;
    this.#room = room;
    this.#form.reset();
    name.value = room.name;
    topic.value = room.topic;
    hidden.checked = room.visibility === "private";
    hidden.disabled = !owns(room.role);
    this.#owners.hidden = !owns(room.role);
    this.#showArchive();
    this.#dialog.showModal();
  }

  #showArchive() {
    const { archived } = this.#room;
    this.#archive.textContent = archived ? "Reopen room" : "Archive room";
    this.#hint.textContent = archived
      ? "The room is archived: it can be read, but nobody can write in it."
      : "It stays readable, but nobody can write in it any more.";
  }

  async #change(fields) {
    this.#room = await patch(`/api/chat/rooms/${this.#room.id}`, fields);
    this.#onchanged(this.#room);
  }

  async #toggleArchive() {
    await this.#change({ archived: !this.#room.archived });
    this.#showArchive();
  }

  async #delete() {
    const { id, name } = this.#room;
    const sure = await ask({
      title: `Delete ${name}?`,
      text: "The room and all that was said in it will be gone for everybody, for good.",
      action: "Delete room",
    });
    if (!sure) return;
    await remove(`/api/chat/rooms/${id}`);
    this.#dialog.close();
  }

  async #try(work) {
    this.#problem.textContent = "";
    try {
      await work();
    } catch (problem) {
      this.#problem.textContent = problem.sentences.join(" ");
    }
  }
}
