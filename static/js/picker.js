// The choice of an emoji: those used last, a few frequent ones, and a field for any other.

import { firstEmoji } from "./reactions.js";
import { parse } from "./storage.js";

const FREQUENT = "👍 ❤️ 😂 🎉 😮 😢 🙏 👀 ✅ 🚀 🔥 💯 👏 🤔 😍 😅 😊 😎 😭 😡 🥳 🤯 🫡 👋 👎 💪 🙌 ☕ 🐛 💡 ❓ ❌".split(" ");
const LATEST = 8; // one line
const GAP_PX = 6;

export class Picker {
  #popover = document.querySelector("#picker");
  #grid = document.querySelector("#picker-grid");
  #form = document.querySelector("#picker-form");
  #problem = document.querySelector("#picker-problem");
  #storage;
  #key;
  #choose = () => {};

  constructor(storage, key) {
    this.#storage = storage;
    this.#key = key;
    this.#grid.addEventListener("click", ({ target }) => target.closest("button") && this.#chosen(target.closest("button").value));
    this.#grid.addEventListener("keydown", (event) => this.#step(event));
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#typed();
    });
  }

  /** `choose(emoji)` is called once, if at all; the focus goes back to `button`. */
  open(button, choose) {
    this.#choose = choose;
    this.#form.reset();
    this.#problem.textContent = "";
    this.#fill();
    this.#popover.showPopover();
    this.#place(button.getBoundingClientRect());
    this.#grid.firstElementChild.focus();
    this.#popover.addEventListener("toggle", ({ newState }) => (
      newState === "closed" && this.#popover.contains(document.activeElement) && button.focus()
    ), { once: true });
  }

  #fill() {
    const latest = this.#latest();
    const emoji = [...new Set([...latest, ...FREQUENT])].slice(0, FREQUENT.length);
    this.#grid.replaceChildren(...emoji.map((each, at) => {
      const button = document.createElement("button");
      button.type = "button";
      button.value = each;
      button.textContent = each;
      button.tabIndex = at ? -1 : 0;
      return button;
    }));
  }

  /** Below the button where there is place, else above; always on the screen. */
  #place({ left, right, top, bottom }) {
    const { offsetWidth: width, offsetHeight: height } = this.#popover;
    const x = Math.max(GAP_PX, Math.min(right - width, innerWidth - width - GAP_PX, Math.max(left, GAP_PX)));
    const y = bottom + GAP_PX + height <= innerHeight ? bottom + GAP_PX : Math.max(GAP_PX, top - GAP_PX - height);
    this.#popover.style.translate = `${x}px ${y}px`;
  }

  #step(event) {
    const columns = getComputedStyle(this.#grid).gridTemplateColumns.split(" ").length;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
    if (!step) return;
    event.preventDefault();
    const buttons = [...this.#grid.children];
    const next = buttons[buttons.indexOf(event.target) + step];
    if (!next) return;
    for (const button of buttons) button.tabIndex = button === next ? 0 : -1;
    next.focus();
  }

  #typed() {
    const emoji = firstEmoji(this.#form.elements.emoji.value);
    if (emoji) return this.#chosen(emoji);
    this.#problem.textContent = "Enter one emoji.";
    this.#form.elements.emoji.focus();
  }

  #chosen(emoji) {
    this.#storage.set(this.#key, JSON.stringify([emoji, ...this.#latest().filter((each) => each !== emoji)].slice(0, LATEST)));
    this.#popover.hidePopover();
    this.#choose(emoji);
  }

  #latest() {
    return parse(this.#storage.get(this.#key)) ?? [];
  }
}
