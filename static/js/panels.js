// The panels beside the open room: one at a time, closed by Escape, the focus goes back.

export class Panels {
  #open = null; // {panel, button}
  #onchange;

  /** `onchange(id of the open panel, or null)`. */
  constructor(onchange) {
    this.#onchange = onchange;
    for (const button of document.querySelectorAll("[data-panel-close]")) {
      button.addEventListener("click", () => this.close());
    }
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.defaultPrevented || !this.#open) return;
      if (this.#open.panel.contains(document.activeElement)) this.close();
    });
  }

  get open() {
    return this.#open?.panel.id ?? null;
  }

  toggle(id, button) {
    if (this.open === id) this.close();
    else this.show(id, button);
  }

  show(id, button) {
    this.#hide();
    const panel = document.getElementById(id);
    this.#open = { panel, button };
    panel.hidden = false;
    button.setAttribute("aria-expanded", "true");
    document.body.dataset.panel = id;
    this.#onchange(id);
    panel.querySelector("[data-panel-first]").focus();
  }

  close({ focus = true } = {}) {
    if (!this.#open) return;
    const { button } = this.#open;
    this.#hide();
    this.#onchange(null);
    if (focus) button.focus();
  }

  #hide() {
    if (!this.#open) return;
    this.#open.panel.hidden = true;
    this.#open.button.setAttribute("aria-expanded", "false");
    this.#open = null;
    delete document.body.dataset.panel;
  }
}
