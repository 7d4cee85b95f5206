// Keeps the page itself for later visits without a network; the library keeps the collection. The export fills in the
// list of files and its version, so that a new export is a new service worker.

const VERSION = "@VERSION@";
const FILES = ["@FILES@"];
const CACHE = `latelite-page ${self.registration.scope}`;

self.addEventListener("install", (event) => {
  event.waitUntil(
    (async () => {
      const cache = await caches.open(`${CACHE} ${VERSION}`);
      await cache.addAll(FILES.map((file) => new Request(file, { cache: "no-cache" })));
      await self.skipWaiting();
    })(),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      for (const name of await caches.keys()) {
        if (name.startsWith(`${CACHE} `) && name !== `${CACHE} ${VERSION}`) await caches.delete(name);
      }
      await self.clients.claim();
    })(),
  );
});

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || !url.href.startsWith(self.registration.scope)) return;
  const file = url.pathname.slice(new URL(self.registration.scope).pathname.length);
  // The library fetches and keeps the collection by itself.
  if (file === "collection.json" || file.startsWith("data/")) return;
  event.respondWith(answer(event.request, file));
});

async function answer(request, file) {
  const cache = await caches.open(`${CACHE} ${VERSION}`);
  const kept = await cache.match(new URL(file || "index.html", self.registration.scope));
  return kept ?? fetch(request);
}
