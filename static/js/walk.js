// The log by keyboard: arrow keys go from message to message, Escape to the field below, and
// letters do what the focused message's buttons do.

const KEYS = { r: "reply", e: "edit", "+": "react", Delete: "remove" };

export class Walk {
  #log;
  #last = null; // the article that had the focus last
  #on;

  /** `on`: {leave(), act(article, what)} */
  constructor(log, on) {
    this.#log = log;
    this.#on = on;
    log.addEventListener("keydown", (event) => this.#key(event));
    log.addEventListener("focusin", ({ target }) => {
      this.#last = target.closest("article") ?? this.#last;
    });
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (this.#do(event.key, event.target)) event.preventDefault();
  }

  #do(key, target) {
    if (key === "Escape") return this.#on.leave();
    const article = target.matches("article, article button") ? target.closest("article") : null;
    if (!article && target !== this.#log) return false;
    if (key === "ArrowUp") return this.#step(article, -1);
    if (key === "ArrowDown") return this.#step(article, +1);
    return Boolean(article && KEYS[key]) && this.#on.act(article, KEYS[key]);
  }

  #step(from, by) {
    const articles = [...this.#log.querySelectorAll("article")];
    const at = articles.indexOf(from);
    const next = at < 0 ? this.#start(articles) : articles[at + by];
    next?.focus({ preventScroll: true });
    next?.scrollIntoView({ block: "nearest" });
    return Boolean(next);
  }

  /** Where the walk goes on: where it was if that is in view, else the lowest that is. */
  #start(articles) {
    const { top, bottom } = this.#log.getBoundingClientRect();
    const visible = articles.filter((article) => {
      const box = article.getBoundingClientRect();
      return box.bottom > top && box.top < bottom;
    });
    return visible.includes(this.#last) ? this.#last : visible.at(-1);
  }
}
