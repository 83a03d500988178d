// The dialog of the reader's own account: name, password, places where it is signed in, tokens of
// programs, its end.

import { get, patch, put, remove, toLogin } from "./api.js";
import { paintAvatar } from "./avatar.js";
import { closeButtons, onSubmit } from "./forms.js";
import { timeAndDate, when } from "./times.js";
import { Tokens } from "./tokens.js";

const template = document.querySelector("#session-template");

const find = (id) => document.getElementById(id);

export class Profile {
  #dialog = find("account-dialog");
  #said = find("account-said");
  #notices = find("notices");
  #tokens = new Tokens();
  #me;
  #notify;
  #on;

  /** `on`: {renamed(user), gone()}. */
  constructor(me, notify, on) {
    this.#me = me;
    this.#notify = notify;
    this.#on = on;
    closeButtons(this.#dialog);
    this.#dialog.addEventListener("close", () => this.#tokens.forget());
    this.#notices.addEventListener("change", () => this.#wantNotices());
    onSubmit(find("name-form"), ({ display_name: name }) => this.#rename(name.value.trim()));
    onSubmit(find("password-form"), (fields) => this.#setPassword(fields));
    onSubmit(find("close-form"), ({ password }) => this.#close(password.value));
  }

  show() {
    for (const form of this.#dialog.querySelectorAll("form")) form.reset();
    for (const details of this.#dialog.querySelectorAll("details")) details.open = false;
    this.#said.textContent = "";
    this.#draw();
    this.#loadSessions();
    this.#dialog.showModal();
  }

  #draw() {
    paintAvatar(find("account-avatar"), this.#me);
    find("account-username").textContent = `@${this.#me.username}`;
    this.#notices.checked = this.#notify.wanted;
    find("name-form").elements.display_name.value = this.#me.display_name;
  }

  async #rename(name) {
    const { user } = await patch("/api/me", { display_name: name });
    this.#on.renamed(user);
    this.#draw();
    this.#said.textContent = "Your name is saved.";
  }

  async #wantNotices() {
    const wanted = this.#notices.checked;
    this.#notices.checked = await this.#notify.want(wanted);
    this.#said.textContent = wanted && !this.#notices.checked
      ? "Your browser blocks notifications from this page; you can allow them in its settings."
      : "";
  }

  async #setPassword({ current_password: current, new_password: next }) {
    await put("/api/me/password", { current_password: current.value, new_password: next.value });
    find("password-form").reset();
    find("password-details").open = false;
    this.#said.textContent = "Your password is changed. You are signed out everywhere else.";
    await this.#loadSessions();
  }

  async #loadSessions() {
    try {
      const { sessions } = await get("/api/sessions");
      find("session-list").replaceChildren(...sessions.map((each) => this.#row(each)));
    } catch (problem) {
      this.#said.textContent = problem.message;
    }
  }

  #row({ id, name, created_at: since, current }) {
    const row = template.content.firstElementChild.cloneNode(true);
    const title = name || "A browser";
    row.querySelector(".session-name").textContent = title;
    row.querySelector(".session-since").textContent = current ? "This browser" : `Since ${when(since)}`;
    row.querySelector(".session-since").title = timeAndDate(since);
    const button = row.querySelector("button");
    button.hidden = current;
    button.setAttribute("aria-label", `Sign out ${title}`);
    button.addEventListener("click", () => this.#end(id));
    return row;
  }

  async #end(id) {
    try {
      await remove(`/api/sessions/${id}`);
      this.#said.textContent = "Signed out there.";
    } catch (problem) {
      this.#said.textContent = problem.message;
    }
    await this.#loadSessions();
    if (document.activeElement === document.body) find("session-list").focus(); // or they went on elsewhere
  }

  async #close(password) {
    await remove("/api/me", { password });
    this.#on.gone();
    toLogin();
  }
}
