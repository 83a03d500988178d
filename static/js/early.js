// What the reader asks for while the code for it is still on its way, as `chat.js` loads it: it is
// done once that is here.

const BUTTONS = "#switch, #new-room, #browse-rooms, #new-direct, #account, #show-details, #show-search";

/** Whether a key asks for the way to another room: Ctrl+K. */
export const goes = ({ key, ctrlKey, metaKey, altKey, shiftKey }) => (
  (ctrlKey || metaKey) && !altKey && !shiftKey && key.toLowerCase() === "k"
);

export class Early {
  #button = null;
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
    this.#button = button ?? this.#button;
  }

  /** The code is here: from now on its own listeners hear. */
  end() {
    this.#listening.abort();
    this.#button?.click();
  }
}
