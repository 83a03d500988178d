// What can be done to a message: one group of buttons that follows the pointer and the focus
// from message to message, the emoji below each, and the question before a deletion.

const template = document.querySelector("#actions-template");
const STOPS = ".reaction, .quote";
const coarse = matchMedia("(pointer: coarse)"); // the buttons are higher, as messages.css says
const dialog = document.querySelector("#delete-dialog");

export class Actions {
  #log;
  #group = template.content.firstElementChild.cloneNode(true);
  #here = null; // the article where the reader is; nothing may be done to it yet, perhaps
  #on;

  /** `on`: {may(article) → Set of what, act(article, what, button), toggle(article, emoji)} */
  constructor(log, on) {
    this.#log = log;
    this.#on = on;
    log.addEventListener("pointerover", ({ target, pointerType }) => (
      pointerType === "mouse" && this.#follow(target.closest("article"))
    ));
    log.addEventListener("pointerleave", ({ pointerType }) => pointerType === "mouse" && this.#follow(null));
    log.addEventListener("focusin", ({ target }) => this.#place(target.closest("article")));
    log.addEventListener("click", (event) => this.#clicked(event.target));
  }

  /** The message changed, or the reader's rights did. */
  refresh() {
    this.#place(this.#here?.isConnected ? this.#here : null);
  }

  /** The reader goes on elsewhere. */
  leave() {
    this.#here = null;
    this.#group.remove();
  }

  get #article() {
    return this.#group.closest("article");
  }

  /** With the mouse, unless somebody is there by keyboard. */
  #follow(article) {
    if (this.#group.querySelector(":focus-visible") || this.#article?.matches(":focus-visible")) return;
    if (article !== this.#here) this.#place(article);
  }

  #place(article) {
    this.#here = article;
    const may = article ? this.#on.may(article) : new Set();
    for (const button of this.#group.children) button.hidden = !may.has(button.dataset.act);
    this.#tabbable(article);
    if (may.size === 0) this.#group.remove();
    else if (this.#group.parentElement !== article) article.append(this.#group);
    this.#turn(article);
  }

  /** A finger's buttons cover no text of their message: at the upper edge they stand below it. */
  #turn(article) {
    if (!coarse.matches || !this.#group.isConnected) return;
    const { offsetHeight: height } = this.#group;
    const top = article.offsetTop - this.#log.scrollTop;
    const fits = top + article.offsetHeight + height <= this.#log.clientHeight;
    this.#group.toggleAttribute("data-below", top < height && fits);
  }

  /** Emoji and the quote are stops of the Tab key only in the message where the reader is. */
  #tabbable(article) {
    if (article !== this.#article) for (const button of this.#article?.querySelectorAll(STOPS) ?? []) button.tabIndex = -1;
    for (const button of article?.querySelectorAll(STOPS) ?? []) button.tabIndex = 0;
  }

  #clicked(target) {
    const article = target.closest("article");
    const button = target.closest("button");
    if (!article || !button) return;
    if (button.dataset.emoji) this.#on.toggle(article, button.dataset.emoji);
    if (button.dataset.act) this.#on.act(article, button.dataset.act, button);
  }
}

/** Whether the reader really wants to delete a message. */
export function confirmDelete(text) {
  dialog.returnValue = "keep";
  dialog.querySelector(".delete-text").textContent = text;
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "delete"), { once: true });
  });
}
