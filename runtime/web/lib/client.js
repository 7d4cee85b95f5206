/** The page's side of a collection that lives in a worker. */

import { LateliteError, QueryError, unpacked } from "./errors.js";

/** A collection in a worker, with the methods of {@link import("./collection.js").WebCollection}. */
export class RemoteCollection {
  /**
   * @param {string} location
   * @param {{onProgress?: Function, partial?: boolean, threads?: number}} options
   * @returns {Promise<RemoteCollection>}
   */
  static async open(location, { onProgress = () => {}, ...options }) {
    const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module", name: "latelite" });
    const collection = new RemoteCollection(worker, onProgress);
    try {
      collection.description = await collection._ask("open", [location, options]);
    } catch (error) {
      collection.close();
      throw error;
    }
    return collection;
  }

  constructor(worker, onProgress) {
    this._worker = worker;
    this._asked = new Map();
    this._last = 0;
    this.description = null;
    /** Fulfilled when everything is loaded, with whether the collection now opens without a network. */
    this.complete = new Promise((resolve, reject) => {
      worker.addEventListener("message", ({ data }) => {
        if ("progress" in data) onProgress(data.progress);
        else if ("complete" in data) resolve(data.complete);
        else if ("incomplete" in data) reject(unpacked(data.incomplete));
        else this._settle(data);
      });
    });
    this.complete.catch(() => {}); // whoever cares awaits it
    worker.addEventListener("error", (event) => {
      event.preventDefault();
      const error = new LateliteError(`the search's worker failed: ${event.message || "a script could not be loaded"}.`);
      for (const { reject } of this._asked.values()) reject(error);
      this._asked.clear();
    });
  }

  /** @type {import("./collection.js").WebCollection["search"]} */
  search(query, { signal, ...options } = {}) {
    return this._ask("search", [query, options], signal);
  }

  encode(text, options = {}) {
    return this._ask("encode", [text, options]);
  }

  explain(query, id, options = {}) {
    return this._ask("explain", [query, id, options]);
  }

  get(id) {
    return this._ask("get", [id]);
  }

  document(id, options = {}) {
    return this._ask("document", [id, options]);
  }

  documents(options = {}) {
    return this._ask("documents", [options]);
  }

  count(options = {}) {
    return this._ask("count", [options]);
  }

  facets(options = {}) {
    return this._ask("facets", [options]);
  }

  get length() {
    return this.description.documents;
  }

  /** Let go of the worker and its memory. */
  close() {
    this._worker.terminate();
  }

  _ask(method, args, signal) {
    const id = ++this._last;
    return new Promise((resolve, reject) => {
      const abort = () => {
        this._asked.delete(id);
        this._worker.postMessage({ method: "cancel", args: [id] });
        reject(new DOMException("The search was aborted.", "AbortError"));
      };
      if (signal?.aborted) return abort();
      signal?.addEventListener("abort", abort, { once: true });
      this._asked.set(id, { resolve, reject });
      try {
        this._worker.postMessage({ id, method, args });
      } catch {
        this._asked.delete(id);
        reject(new QueryError("a function cannot be sent to the worker; write the filter as an object, or open the collection with {worker: false}."));
      }
    });
  }

  _settle({ id, result, error }) {
    const asked = this._asked.get(id);
    this._asked.delete(id);
    if (error) asked?.reject(unpacked(error));
    else asked?.resolve(result);
  }
}
