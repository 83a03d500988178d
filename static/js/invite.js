// The dialog that brings people into a room: by invitation, and by a link for moderators.

import { get, post, put, remove } from "./api.js";
import { copyFrom } from "./copying.js";
import { closeButtons } from "./forms.js";
import { PeopleSearch, personRow } from "./people.js";
import { moderates } from "./ranks.js";
import { Sent } from "./sent.js";

export class InviteDialog {
  #dialog = document.querySelector("#invite-dialog");
  #title = document.querySelector("#invite-title");
  #problem = this.#dialog.querySelector(".problem");
  #said = document.querySelector("#invite-said");
  #link = document.querySelector("#link");
  #address = document.querySelector("#link-address");
  #make = document.querySelector("#link-make");
  #copy = document.querySelector("#link-copy");
  #end = document.querySelector("#link-end");
  #room = null;
  #asked = 0; // for the link: only the answer to the last question counts
  #search;
  #within;
  #sent = new Sent({
    try: (work) => this.#try(work),
    loaded: () => this.#search.draw(),
    withdrawn: (user) => this.#withdrawn(user),
  });

  /** `known()`: people to begin with; `within(userId)`: whether somebody is in the room. */
  constructor({ known, within, online }) {
    this.#within = within;
    this.#search = new PeopleSearch(this.#dialog, {
      known: () => known().filter(({ id }) => !within(id)),
      row: (user) => this.#row(user, { online: online(user.id), note: this.#note(user) }),
      fail: (problem) => this.#fail(problem),
    });
    closeButtons(this.#dialog);
    this.#make.addEventListener("click", () => this.#try(() => this.#askLink(put)));
    this.#end.addEventListener("click", () => this.#try(() => this.#endLink()));
    this.#copy.addEventListener("click", () => this.#copyLink());
    this.#address.addEventListener("focus", () => this.#address.select());
  }

  show(room) {
    this.#room = room;
    this.#title.textContent = `Invite people to ${room.name}`;
    this.#problem.textContent = "";
    this.#said.textContent = "";
    this.#search.start();
    this.#link.hidden = !moderates(room.role);
    this.#sent.show(moderates(room.role) ? room : null);
    this.#showLink(null);
    this.#dialog.showModal();
    if (moderates(room.role)) this.#try(() => this.#askLink(async (path) => (await get(path)).link));
  }

  get #linkPath() {
    return `/api/chat/rooms/${this.#room.id}/link`;
  }

  #note({ id }) {
    if (this.#within(id)) return "In this room";
    return this.#sent.has(id) ? "Invited" : "Invite";
  }

  #row(user, { online, note }) {
    const row = personRow(user, { online, note, run: (button) => this.#try(() => this.#invite(user, button)) });
    row.querySelector("button").disabled = note !== "Invite";
    return row;
  }

  async #invite(user, button) {
    await post(`/api/chat/rooms/${this.#room.id}/invitations`, { user_id: user.id });
    button.disabled = true;
    button.querySelector(".who-note").textContent = "Invited";
    this.#said.textContent = `${user.display_name} is invited.`;
    this.#dialog.querySelector("input").focus();
    await this.#sent.load();
  }

  #withdrawn(user) {
    this.#said.textContent = `${user.display_name} is no longer invited.`;
    this.#dialog.querySelector("input").focus();
  }

  /** `ask(path)` resolves to the link, or null. */
  async #askLink(ask) {
    const asked = (this.#asked += 1);
    const link = await ask(this.#linkPath);
    if (asked === this.#asked) this.#showLink(link);
  }

  #showLink(link) {
    this.#address.value = link ? new URL(link.path, location.origin).href : "";
    for (const each of [this.#address, this.#copy, this.#end]) each.hidden = !link;
    this.#make.textContent = link ? "Replace it" : "Make a link";
  }

  async #endLink() {
    await this.#askLink(remove);
    this.#said.textContent = "The link is dead.";
    this.#make.focus();
  }

  async #copyLink() {
    this.#said.textContent = (await copyFrom(this.#address))
      ? "The link is copied."
      : "The link is selected; copy it from here.";
  }

  async #try(work) {
    this.#problem.textContent = "";
    try {
      await work();
    } catch (problem) {
      this.#fail(problem);
    }
  }

  #fail(problem) {
    this.#problem.textContent = problem.sentences.join(" ");
  }
}
