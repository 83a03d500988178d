// The offline page, for browsers that can have one: on https, or on this machine.

export function install() {
  navigator.serviceWorker?.register("/static/sw.js", { scope: "/" }).catch(() => {}); // it does without
}
