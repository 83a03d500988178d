// Names after an `@`, offered while they are typed. The keys go on to belong to the field:
// arrows choose, Enter or Tab takes, Escape closes.

import { paintAvatar } from "./avatar.js";

const MOST = 8; // names in the list
const byName = new Intl.Collator(undefined, { sensitivity: "base", numeric: true });

/** The name that is being typed before the caret: `{from, to, typed}`, or null. */
export function wordAt(text, caret) {
  const typed = /(?:^|[\s([{"'*_~-])@([\p{L}\p{N}_.-]{0,32})$/u.exec(text.slice(0, caret))?.[1];
  return typed === undefined ? null : { from: caret - typed.length - 1, to: caret, typed };
}

/** The people whose username or a part of whose name begins so, the likeliest first. */
export function suggest(people, typed) {
  const wanted = typed.toLocaleLowerCase();
  const rank = ({ username, display_name: name }) => {
    if (username.toLowerCase().startsWith(wanted)) return 0;
    return name.toLocaleLowerCase().split(/\s+/).some((part) => part.startsWith(wanted)) ? 1 : 2;
  };
  return people.map((user) => ({ user, at: rank(user) })).filter(({ at }) => at < 2)
    .sort((a, b) => a.at - b.at || byName.compare(a.user.username, b.user.username))
    .slice(0, MOST).map(({ user }) => user);
}

export class Completion {
  #field;
  #list;
  #said;
  #people = () => [];
  #offered = []; // users
  #at = 0; // the chosen one
  #word = null;
  #dismissed = null; // where the reader closed the list

  /** `list` is the listbox, `said` tells a screen reader how many there are. */
  constructor(field, list, said) {
    this.#field = field;
    this.#list = list;
    this.#said = said;
    field.addEventListener("blur", () => this.#close());
    field.addEventListener("selectionchange", () => this.look()); // where browsers have it on fields
    list.addEventListener("pointerdown", (event) => event.preventDefault()); // the field keeps the focus
    list.addEventListener("click", ({ target }) => {
      const option = target.closest("[role=option]");
      if (option) this.#take([...list.children].indexOf(option));
    });
  }

  /** Who may be named: a function, asked whenever somebody types. */
  set people(people) {
    this.#people = people;
  }

  /** The text or the caret changed, or more people became known. */
  look() {
    const { value, selectionStart, selectionEnd } = this.#field;
    const focused = document.activeElement === this.#field;
    const word = focused && selectionStart === selectionEnd ? wordAt(value, selectionStart) : null;
    if (word?.from !== this.#dismissed) this.#dismissed = null;
    const offered = word && this.#dismissed === null ? suggest(this.#people(), word.typed) : [];
    const whole = offered.some(({ username }) => username === word.typed.toLowerCase());
    const going = word?.typed === this.#word?.typed; // only who may be meant has changed
    const same = going && ids(offered) === ids(this.#offered);
    const chosen = going ? this.#offered[this.#at]?.id : undefined;
    this.#word = word;
    if (offered.length === 0 || (whole && offered.length === 1)) return this.#close();
    if (same && !this.#list.hidden) return;
    this.#offered = offered;
    // A whole name wants no completion: Enter sends.
    this.#at = whole ? -1 : Math.max(0, offered.findIndex(({ id }) => id === chosen));
    this.#show();
  }

  /** Whether the key was ours. */
  key({ key, shiftKey }) {
    if (this.#list.hidden || shiftKey) return false;
    if (key === "ArrowDown" || key === "ArrowUp") return this.#move(key === "ArrowDown" ? 1 : -1);
    if (key === "Enter" || key === "Tab") return this.#at >= 0 && this.#take(this.#at);
    if (key !== "Escape") return false;
    this.#dismissed = this.#word.from;
    this.#close();
    return true;
  }

  #show() {
    this.#list.replaceChildren(...this.#offered.map(createOption));
    this.#list.hidden = false;
    this.#choose();
    const { length } = this.#offered;
    this.#said.textContent = `${length} ${length === 1 ? "person" : "people"}. Arrow keys choose, Enter takes.`;
  }

  #close() {
    this.#offered = [];
    this.#list.hidden = true;
    this.#field.removeAttribute("aria-activedescendant");
    this.#said.textContent = "";
  }

  #move(by) {
    const { length } = this.#offered;
    this.#at = this.#at < 0 ? (by > 0 ? 0 : length - 1) : (this.#at + by + length) % length;
    this.#choose();
    return true;
  }

  #choose() {
    [...this.#list.children].forEach((option, at) => option.setAttribute("aria-selected", at === this.#at));
    const chosen = this.#list.children[this.#at];
    if (!chosen) return this.#field.removeAttribute("aria-activedescendant");
    chosen.scrollIntoView({ block: "nearest" });
    this.#field.setAttribute("aria-activedescendant", chosen.id);
  }

  #take(at) {
    const { from, to } = this.#word;
    const { username } = this.#offered[at];
    this.#close();
    this.#field.setRangeText(`@${username} `, from, to, "end");
    this.#field.dispatchEvent(new Event("input", { bubbles: true }));
    return true;
  }
}

const ids = (users) => users.map(({ id }) => id).join();

function createOption(user, at) {
  const option = document.querySelector("#person-template").content.firstElementChild.cloneNode(true);
  option.id = `person-${at}`;
  paintAvatar(option.querySelector(".avatar"), user);
  option.querySelector(".person-name").textContent = user.display_name;
  option.querySelector(".person-username").textContent = `@${user.username}`;
  return option;
}
