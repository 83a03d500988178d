// The part of the account's dialog for programs that act in the reader's name: their tokens.

import { get, post, remove } from "./api.js";
import { copyFrom } from "./copying.js";
import { onSubmit } from "./forms.js";
import { ask } from "./question.js";
import { timeAndDate, when } from "./times.js";

const template = document.querySelector("#session-template");

const find = (id) => document.getElementById(id);

export class Tokens {
  #details = find("token-details");
  #said = find("token-said");
  #fresh = find("token-new");
  #secret = find("token-secret");
  #list = find("token-list");

  constructor() {
    onSubmit(find("token-form"), ({ name }) => this.#make(name.value.trim()));
    find("token-copy").addEventListener("click", () => this.#copy());
    this.#secret.addEventListener("focus", () => this.#secret.select());
    this.#details.addEventListener("toggle", () => this.#details.open && this.#load());
  }

  /** The dialog opens or closes: a secret that was shown is gone. */
  forget() {
    this.#said.textContent = "";
    this.#secret.value = "";
    this.#fresh.hidden = true;
  }

  async #make(name) {
    const { token } = await post("/api/tokens", { name });
    find("token-form").reset();
    this.#said.textContent = "";
    this.#secret.value = token;
    this.#fresh.hidden = false;
    this.#secret.focus();
    await this.#load();
  }

  async #copy() {
    this.#said.textContent = (await copyFrom(this.#secret))
      ? "The token is copied."
      : "The token is selected; copy it from here.";
  }

  async #load() {
    try {
      const { tokens } = await get("/api/tokens");
      this.#list.replaceChildren(...tokens.map((token) => this.#row(token)));
      find("token-none").hidden = tokens.length > 0;
    } catch (problem) {
      this.#said.textContent = problem.message;
    }
  }

  #row({ id, name, created_at: since }) {
    const row = template.content.firstElementChild.cloneNode(true);
    row.querySelector(".session-name").textContent = name;
    row.querySelector(".session-since").textContent = `Since ${when(since)}`;
    row.querySelector(".session-since").title = timeAndDate(since);
    const button = row.querySelector("button");
    button.textContent = "Revoke";
    button.setAttribute("aria-label", `Revoke ${name}`);
    button.addEventListener("click", () => this.#revoke(id, name));
    return row;
  }

  async #revoke(id, name) {
    const sure = await ask({
      title: `Revoke ${name}?`,
      text: "Whatever uses this token is signed out at once, for good.",
      action: "Revoke",
    });
    if (!sure) return;
    try {
      await remove(`/api/tokens/${id}`);
      this.forget();
      this.#said.textContent = `${name} is revoked.`;
    } catch (problem) {
      this.#said.textContent = problem.message;
    }
    await this.#load();
    if (document.activeElement === document.body) this.#list.focus(); // or they went on elsewhere
  }
}
