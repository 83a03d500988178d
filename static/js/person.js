// The card of one person: talk to them, and what a moderator or an owner may do.

import { put, remove } from "./api.js";
import { paintAvatar } from "./avatar.js";
import { direct } from "./direct.js";
import { closeButtons, onSubmit } from "./forms.js";
import { ask } from "./question.js";
import { outranks, owns } from "./ranks.js";

export class PersonCard {
  #dialog = document.querySelector("#person-dialog");
  #problem = this.#dialog.querySelector(".problem");
  #message = document.querySelector("#person-message");
  #role = document.querySelector("#person-role");
  #kick = document.querySelector("#person-kick");
  #ban = document.querySelector("#person-ban");
  #banForm = document.querySelector("#ban-form");
  #me;
  #on;
  #room = null;
  #user = null;
  #online = false;
  #standing = null; // the role that is known to be

  /** `on`: {open(room), changed(), closed(user)}: talk in this room; the members have changed. */
  constructor(me, on) {
    this.#me = me;
    this.#on = on;
    closeButtons(this.#dialog);
    this.#dialog.addEventListener("close", () => on.closed(this.#user));
    this.#message.addEventListener("click", () => this.#try(() => this.#talk()));
    this.#role.querySelector("select").addEventListener("change", ({ target }) => this.#try(() => this.#setRole(target)));
    this.#kick.addEventListener("click", () => this.#try(() => this.#remove()));
    this.#ban.addEventListener("click", () => this.#offerBan());
    onSubmit(this.#banForm, async ({ reason }) => {
      await put(this.#path("bans"), { reason: reason.value.trim() });
      this.#done();
    });
  }

  /** Somebody is called otherwise from now on. */
  rename(user) {
    if (user.id !== this.#user?.id) return;
    this.#user = user;
    this.#drawName();
  }

  #drawName() {
    paintAvatar(this.#dialog.querySelector(".avatar"), this.#user, this.#online);
    this.#dialog.querySelector("h2").textContent = this.#user.display_name;
    this.#dialog.querySelector(".person-about").textContent = `@${this.#user.username} · ${this.#online ? "online" : "offline"}`;
  }

  /** `role`: theirs in the room, null where they are not in it. */
  show(room, user, { role, online }) {
    this.#room = room;
    this.#user = user;
    this.#online = online;
    this.#standing = role;
    this.#problem.textContent = "";
    this.#drawName();
    const me = user.id === this.#me.id;
    const direct = room.visibility === "direct";
    const below = !me && !direct && outranks(room.role, role);
    this.#message.hidden = me || direct;
    this.#role.hidden = direct || role === null || !owns(room.role);
    this.#role.querySelector("select").value = role ?? "member";
    this.#kick.hidden = !below || role === null;
    this.#ban.hidden = !below;
    this.#banForm.hidden = true;
    this.#banForm.reset();
    this.#dialog.showModal();
  }

  #path(what) {
    return `/api/chat/rooms/${this.#room.id}/${what}/${this.#user.id}`;
  }

  async #talk() {
    const room = await direct(this.#user.id);
    this.#dialog.close();
    this.#on.open(room);
  }

  async #setRole(select) {
    try {
      await put(this.#path("members"), { role: select.value });
      this.#standing = select.value;
      this.#on.changed();
    } catch (problem) {
      select.value = this.#standing;
      throw problem;
    }
  }

  async #remove() {
    const sure = await ask({
      title: `Remove ${this.#user.display_name}?`,
      text: this.#room.visibility === "public"
        ? "They leave the room at once, and can join it again."
        : "They leave the room at once, and can come back only by invitation.",
      action: "Remove",
    });
    if (!sure) return;
    await remove(this.#path("members"));
    this.#done();
  }

  #offerBan() {
    this.#ban.hidden = true;
    this.#banForm.hidden = false;
    this.#banForm.elements.reason.focus();
  }

  #done() {
    this.#dialog.close();
    this.#on.changed();
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
