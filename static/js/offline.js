// The page that is shown where none can be loaded: it tries again, by itself too.

const EVERY_MS = 10_000;

document.querySelector("#again").addEventListener("click", () => location.reload());
addEventListener("online", () => location.reload());
setInterval(async () => {
  const alive = await fetch("/healthz/live", { cache: "no-store" }).then(({ ok }) => ok).catch(() => false);
  if (alive) location.reload();
}, EVERY_MS);
