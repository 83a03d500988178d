// The field in which a message is written, or changed, or answered. Keeps a draft per room.

import { excerpt } from "./excerpt.js";

const MAX_CHARACTERS = 4_000; // the server's limit, in code points
const WARN_BELOW = 400; // characters left
const MAX_ROWS = 8; // where the browser does not size the field by its content
const OFFLINE = "You are offline. What you write will be sent when you are back.";
const ARCHIVED = "This room is archived: it can be read, but nobody can write in it.";

export class Composer {
  #form;
  #field;
  #note;
  #context;
  #completion;
  #drafts;
  #roomId = null;
  #archived = false;
  #offline = false;
  #editing = null; // Message
  #replyTo = null; // id
  #on;

  /**
   * `on`: {send(body, replyTo), edit(message, body), typed(), lastOwn(), quoted(id)}, where the
   * last two find a Message, or something falsy.
   */
  constructor(form, { drafts, completion, on }) {
    this.#form = form;
    this.#field = form.querySelector("textarea");
    this.#note = form.querySelector(".composer-note");
    this.#context = form.querySelector(".composer-context");
    this.#completion = completion;
    this.#drafts = drafts;
    this.#on = on;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    form.querySelector(".composer-cancel").addEventListener("click", () => this.#cancel());
    this.#field.addEventListener("keydown", (event) => this.#key(event));
    this.#field.addEventListener("input", () => this.#typed());
  }

  /** `name` is what the room is called. */
  show(room, name) {
    this.#archived = room.archived;
    if (room.id !== this.#roomId) {
      this.#roomId = room.id;
      this.#restore();
    }
    this.#field.placeholder = this.#archived ? "Archived" : `Message ${name}`;
    this.#field.disabled = this.#archived;
    this.#paint();
  }

  set offline(offline) {
    this.#offline = offline;
    this.#paint();
  }

  /** The message that is being changed. */
  get editing() {
    return this.#editing;
  }

  focus() {
    this.#field.focus();
  }

  reply({ id }) {
    if (this.#editing) this.#restore();
    this.#replyTo = id;
    this.#keep();
    this.#paint();
    this.focus();
  }

  /** `body` is what the reader made of it so far. */
  edit(message, body = message.body) {
    this.#editing = message;
    this.#field.value = body;
    this.#paint();
    this.focus();
    this.#field.setSelectionRange(body.length, body.length);
  }

  /** What was begun in this room. */
  #restore() {
    const { body, replyTo } = this.#drafts.get(this.#roomId);
    this.#editing = null;
    this.#replyTo = replyTo;
    this.#field.value = body;
    this.#paint();
  }

  #keep() {
    if (!this.#editing) this.#drafts.set(this.#roomId, { body: this.#field.value, replyTo: this.#replyTo });
  }

  #key(event) {
    // While an input method composes, Enter picks a candidate; Safari says so only by 229.
    if (event.isComposing || event.keyCode === 229) return;
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (this.#completion.key(event) || this.#shortcut(event)) event.preventDefault();
  }

  #shortcut({ key, shiftKey }) {
    if (key === "Enter" && !shiftKey) return this.#send() ?? true;
    if (key === "Escape" && (this.#editing || this.#replyTo !== null)) return this.#cancel() ?? true;
    if (key !== "ArrowUp" || shiftKey || this.#field.value || this.#editing) return false;
    const last = this.#on.lastOwn();
    if (last) this.edit(last);
    return Boolean(last);
  }

  #cancel() {
    if (!this.#editing) this.#replyTo = null;
    this.#keep();
    this.#restore();
    this.focus();
  }

  #send() {
    const body = this.#field.value;
    this.#field.focus();
    if (left(body) < 0 || this.#archived) return;
    if (this.#editing) {
      const message = this.#editing;
      this.#restore();
      this.#on.edit(message, body);
    } else if (body.trim()) {
      const replyTo = this.#replyTo;
      this.#drafts.set(this.#roomId, { body: "" });
      this.#restore();
      this.#on.send(body, replyTo);
    }
  }

  #typed() {
    this.#keep();
    this.#paint();
    this.#completion.look();
    if (this.#field.value.trim() && !this.#editing) this.#on.typed();
  }

  #paint() {
    const characters = left(this.#field.value);
    const text = this.#archived ? ARCHIVED : characters < WARN_BELOW ? count(characters) : this.#offline ? OFFLINE : "";
    if (this.#note.textContent !== text) this.#note.textContent = text;
    this.#note.hidden = !text;
    this.#form.toggleAttribute("data-too-long", characters < 0);
    this.#field.rows = Math.min(MAX_ROWS, this.#field.value.split("\n").length);
    this.#paintContext();
  }

  /** Above the field: what is changed or answered. */
  #paintContext() {
    const message = this.#editing ?? (this.#replyTo !== null && this.#on.quoted(this.#replyTo));
    this.#context.hidden = !this.#editing && this.#replyTo === null;
    this.#form.toggleAttribute("data-editing", Boolean(this.#editing));
    this.#form.querySelector(".send").setAttribute("aria-label", this.#editing ? "Save" : "Send");
    this.#form.querySelector(".send-text").textContent = this.#editing ? "Save" : "Send";
    if (this.#context.hidden) return;
    const title = this.#editing ? "Editing" : message?.author ? `Replying to ${message.author.display_name}` : "Replying";
    put(this.#context.querySelector(".composer-context-title"), title);
    put(this.#context.querySelector(".composer-context-text"), message?.author ? excerpt(message) : "");
  }
}

const left = (body) => MAX_CHARACTERS - [...body].length;

function put(element, text) {
  if (element.textContent !== text) element.textContent = text; // nothing is announced twice
}

function count(characters) {
  const number = Math.abs(characters).toLocaleString();
  return characters < 0 ? `${number} characters too long` : `${number} characters left`;
}
