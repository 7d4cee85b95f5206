/**
 * latelite in JavaScript: search a collection that `latelite export --to web` wrote, in a browser or in Node.
 *
 *     import { open } from "./latelite.js";
 *     const notes = await open();
 *     for (const hit of await notes.search("Wie lösche ich ein Verzeichnis?", { k: 5 })) console.log(hit.score, hit.text);
 */

export * from "./lib/errors.js";
export { excerpt } from "./lib/excerpt.js";

/**
 * Open an exported collection.
 *
 * @param {string | URL} [location] URL of the export's folder, or in Node a path; by default the folder of this file
 * @param {object} [options]
 * @param {boolean} [options.worker] whether to search in a worker, so that the page stays responsive; by default in
 *   browsers
 * @param {boolean} [options.partial] whether to return as soon as some documents can be searched; `complete` of the
 *   result is then fulfilled when all can
 * @param {number} [options.threads] threads of ONNX Runtime; more than one needs a page that is cross-origin isolated
 * @param {(progress: {loaded: number, total: number}) => void} [options.onProgress] told of the bytes that have come
 * @returns {Promise<import("./lib/collection.js").WebCollection>}
 */
export async function open(location = new URL(".", import.meta.url).href, { worker, ...options } = {}) {
  const inBrowser = typeof document !== "undefined";
  const place = inBrowser ? new URL(location, document.baseURI).href : String(location);
  if (worker ?? inBrowser) {
    const { RemoteCollection } = await import("./lib/client.js");
    return /** @type {any} */ (RemoteCollection.open(place, options));
  }
  const { WebCollection } = await import("./lib/collection.js");
  return WebCollection.open(place, options);
}
