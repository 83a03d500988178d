// What the reader asks for while the code for it is still on its way, as `chat.js` loads it: it is
// done once that is here.

const BUTTONS = "#log-out, #switch, #new-room, #browse-rooms, #new-direct, #account, #show-details, #show-search";

/** Whether a key asks for the way to another room: Ctrl+K. */
export const goes = ({ key, ctrlKey, metaKey, altKey, shiftKey }) => (
  (ctrlKey || metaKey) && !altKey && !shiftKey && key.toLowerCase() === "k"
);

export class Early {
  #button = null;
  #ready = new Set(); // buttons that are heard by their own listeners
  #listening = new AbortController();

  constructor() {
    const { signal } = this.#listening;
    document.addEventListener("click", ({ target }) => this.#note(target.closest(BUTTONS)), { signal });
    document.addEventListener("keydown", (event) => {
      if (!goes(event)) return;
      event.preventDefault(); // the browser's own search field
      this.#note(document.querySelector("#switch"));
    }, { signal });
  }

  #note(button) {
    if (!this.#ready.has(button)) this.#button = button ?? this.#button;
  }

  /** The code for one button is here. */
  release(button) {
    this.#ready.add(button);
    if (this.#button === button) this.#press();
  }

  /** All of the code is here. */
  end() {
    this.#listening.abort();
    this.#press();
  }

  #press() {
    const button = this.#button;
    this.#button = null;
    button?.click();
  }
}
