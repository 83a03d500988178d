// The page that is shown where none can be loaded: it tries again, by itself too.

const SOON_MS = 1_000; // the network may have come back before this ran
const EVERY_MS = 10_000;

async function look() {
  const alive = await fetch("/healthz/live", { cache: "no-store" }).then(({ ok }) => ok).catch(() => false);
  if (alive) location.reload();
}

document.querySelector("#again").addEventListener("click", () => location.reload());
addEventListener("online", () => location.reload());
setTimeout(look, SOON_MS);
setInterval(look, EVERY_MS);
