// The field in which a message is written. Keeps a draft per room.

const MAX_CHARACTERS = 4_000; // the server's limit, in code points
const WARN_BELOW = 400; // characters left
const MAX_ROWS = 8; // where the browser does not size the field by its content
const OFFLINE = "You are offline. What you write is sent when you are back.";

export class Composer {
  #form;
  #field;
  #note;
  #drafts = new Map();
  #roomId = null;
  #offline = false;
  #onsend;

  constructor(form, onsend) {
    this.#form = form;
    this.#field = form.querySelector("textarea");
    this.#note = form.querySelector(".composer-note");
    this.#onsend = onsend;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    this.#field.addEventListener("keydown", (event) => this.#key(event));
    this.#field.addEventListener("input", () => this.#written());
  }

  show(room) {
    if (room.id !== this.#roomId) {
      this.#drafts.set(this.#roomId, this.#field.value);
      this.#roomId = room.id;
      this.#field.value = this.#drafts.get(room.id) ?? "";
      this.#written();
    }
    this.#field.placeholder = `Message ${room.name}`;
  }

  set offline(offline) {
    this.#offline = offline;
    this.#written();
  }

  focus() {
    this.#field.focus();
  }

  #key(event) {
    // While an input method composes, Enter picks a candidate; Safari says so only by 229.
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key !== "Enter" || event.shiftKey || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    this.#send();
  }

  #send() {
    const body = this.#field.value;
    this.#field.focus();
    if (!body.trim() || left(body) < 0) return;
    this.#field.value = "";
    this.#written();
    this.#onsend(body);
  }

  #written() {
    const characters = left(this.#field.value);
    const text = characters < WARN_BELOW ? count(characters) : this.#offline ? OFFLINE : "";
    this.#note.textContent = text;
    this.#note.hidden = !text;
    this.#form.toggleAttribute("data-too-long", characters < 0);
    this.#field.rows = Math.min(MAX_ROWS, this.#field.value.split("\n").length);
  }
}

const left = (body) => MAX_CHARACTERS - [...body].length;

function count(characters) {
  const number = Math.abs(characters).toLocaleString();
  return characters < 0 ? `${number} characters too long` : `${number} characters left`;
}
