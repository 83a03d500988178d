// What the reader asks for while the code for it is still on its way, as `chat.js` loads it: it is
// done once that is here.

const BUTTONS = "#switch, #new-room, #browse-rooms, #new-direct, #account, #show-details, #show-search";

export class Early {
  #button = null;
  #listening = new AbortController();

  constructor() {
    const { signal } = this.#listening;
    document.addEventListener("click", ({ target }) => this.#note(target.closest(BUTTONS)), { signal });
    document.addEventListener("keydown", (event) => {
      if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "k") return;
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
