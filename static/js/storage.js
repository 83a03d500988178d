// The browser's storage, which may be full, or forbidden even to look at: what does not go in
// is kept for as long as the page lives.

export class Storage {
  #open;
  #memory = new Map(); // what did not go in

  /** `open()` returns localStorage, or throws. */
  constructor(open = () => localStorage) {
    this.#open = open;
  }

  get(key) {
    return this.#memory.get(key) ?? this.#try((storage) => storage.getItem(key)) ?? null;
  }

  set(key, value) {
    this.#memory.delete(key);
    if (this.#try((storage) => storage.setItem(key, value) ?? true)) return;
    this.#memory.set(key, value);
  }

  remove(key) {
    this.#memory.delete(key);
    this.#try((storage) => storage.removeItem(key));
  }

  removeAll(prefix) {
    const kept = this.#try((storage) => Array.from({ length: storage.length }, (_, at) => storage.key(at))) ?? [];
    for (const key of [...kept, ...this.#memory.keys()]) if (key.startsWith(prefix)) this.remove(key);
  }

  #try(use) {
    try {
      return use(this.#open());
    } catch {
      return null;
    }
  }
}

/** What a JSON text says; null for one that is none. */
export function parse(text) {
  try {
    return JSON.parse(text ?? "null");
  } catch {
    return null;
  }
}
