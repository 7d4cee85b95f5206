/** The collection in a worker: typing never waits for a search. The page's side is `client.js`. */

import { WebCollection } from "./collection.js";
import { packed } from "./errors.js";

const METHODS = new Set(["search", "encode", "explain", "get", "documents", "count", "facets", "document"]);
/** @type {Promise<WebCollection>} */
let opening;
const cancelled = new Set();

self.addEventListener("message", async ({ data: { id, method, args } }) => {
  if (method === "cancel") {
    cancelled.add(args[0]);
    return;
  }
  try {
    let result;
    if (method === "open") {
      const [location, options] = args;
      opening = WebCollection.open(location, { ...options, onProgress: (progress) => self.postMessage({ progress }) });
      const collection = await opening;
      collection.complete.then(
        (complete) => self.postMessage({ complete }),
        (error) => self.postMessage({ incomplete: packed(error) }),
      );
      result = collection.description;
    } else if (METHODS.has(method)) {
      const collection = await opening;
      result = await collection[method](...args, { cancelled: () => cancelled.has(id) });
    }
    self.postMessage({ id, result });
  } catch (error) {
    self.postMessage({ id, error: packed(error) });
  } finally {
    cancelled.delete(id);
  }
});
