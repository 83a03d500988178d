// What a page that cannot be loaded shows: a few files that say so and try again. It answers
// for nothing else, so nothing of an older deploy is ever served from here.

const CACHE = "quartchat-offline";
const PAGE = "/static/offline.html";
const SHELL = [PAGE, "/static/css/account.css", "/static/js/offline.js"];

// Everything else goes past this worker, where the browser can do that.
const ROUTES = [
  { condition: { requestMode: "navigate" }, source: "fetch-event" },
  ...SHELL.map((pathname) => ({ condition: { urlPattern: { pathname } }, source: "fetch-event" })),
  { condition: { urlPattern: { pathname: "/*" } }, source: "network" },
];

self.addEventListener("install", (event) => {
  event.addRoutes?.(ROUTES);
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(SHELL)).then(() => self.skipWaiting()));
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET") return;
  const { origin, pathname } = new URL(request.url);
  if (request.mode === "navigate") event.respondWith(fetch(request).catch(() => kept(PAGE)));
  else if (origin === location.origin && SHELL.includes(pathname)) event.respondWith(fresh(request, pathname));
});

/** From the network, and as it was kept where that is away. */
async function fresh(request, pathname) {
  try {
    const response = await fetch(request);
    if (response.ok) (await caches.open(CACHE)).put(pathname, response.clone());
    return response;
  } catch {
    return kept(pathname);
  }
}

async function kept(pathname) {
  return (await caches.match(pathname)) ?? Response.error();
}
