// Where the page gets its data from: the search that runs in the browser itself.

import { open } from "../latelite.js";

/** An answer that is an error. `retryAfter` is in seconds where coming back later helps. */
export class BackendError extends Error {
  constructor(message, { status = 0, retryAfter = 0 } = {}) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** Has the methods of the served page's backend. */
class LocalBackend {
  #opening = null;
  #collection = null;
  #isComplete = false;
  #answeredEarly = false;

  setToken() {}

  /** The one collection, `loading` until its first documents can be searched. */
  async collections() {
    this.#opening ??= this.#open();
    await Promise.race([this.#opening, new Promise((resolve) => setTimeout(resolve, 100))]);
    const { title = document.title, documents = null } = this.#collection?.description ?? {};
    return [{ name: title, documents, state: this.#collection ? "ok" : "loading" }];
  }

  async search({ question, k, mode, where, signal }) {
    const collection = await this.#open();
    const start = performance.now();
    const hits = await asked(collection.search(question, { k, mode, where, explain: true, signal }));
    this.#answeredEarly ||= !this.#isComplete;
    return { hits: hits.map(inCodePoints), seconds: (performance.now() - start) / 1000 };
  }

  async list({ where, limit, signal }) {
    const collection = await this.#open();
    const [documents, total] = await asked(Promise.all([collection.documents({ where, limit }), collection.count({ where })]));
    signal?.throwIfAborted();
    return { documents, total };
  }

  async facets() {
    return (await this.#open()).facets();
  }

  async document({ id, around }) {
    return asked((await this.#open()).document(id, { around }));
  }

  #open() {
    this.#opening ??= open(undefined, { partial: true, onProgress: showProgress }).then(
      (collection) => {
        collection.complete.then(() => this.#complete(), showFailure);
        return (this.#collection = collection);
      },
      (error) => {
        this.#opening = null;
        renew();
        throw new BackendError(error.message);
      },
    );
    return this.#opening;
  }

  /** All documents are there: what was answered with some of them is asked again. */
  #complete() {
    this.#isComplete = true;
    showProgress({ loaded: 1, total: 1 });
    if (this.#answeredEarly) document.querySelector("#search").requestSubmit();
  }
}

/** A page that an earlier export put here may not read a new one: with the new page, once that is there, it is read. */
function renew() {
  navigator.serviceWorker?.addEventListener("controllerchange", () => location.reload(), { once: true });
}

async function asked(answer) {
  try {
    return await answer;
  } catch (error) {
    throw error.name === "AbortError" ? error : new BackendError(error.message);
  }
}

/** The page counts code points, the library UTF-16 units. */
function inCodePoints(hit) {
  if (!/[\ud800-\udfff]/.test(hit.text)) return hit;
  const counted = (unit) => [...hit.text.slice(0, unit)].length;
  return { ...hit, matches: hit.matches.map((match) => ({ ...match, start: counted(match.start), end: counted(match.end) })) };
}

function showProgress({ loaded, total }) {
  const bar = (document.querySelector("#loading") ?? document.body.appendChild(document.createElement("progress")));
  bar.id = "loading";
  bar.max = total;
  bar.value = loaded;
  bar.hidden = loaded >= total;
  bar.style.cssText = "position:fixed;inset:0 0 auto;width:100%;height:4px;border:0";
}

function showFailure(error) {
  showProgress({ loaded: 1, total: 1 });
  const notice = document.querySelector("#notice");
  notice.textContent = error.message;
  notice.hidden = false;
  notice.classList.add("error");
}

export const backend = new LocalBackend();

// Offline after the first visit, and installable, on https and localhost.
if (navigator.serviceWorker) {
  navigator.serviceWorker.register(new URL("../service-worker.js", import.meta.url)).catch(() => {});
}
// What an app keeps is not to be dropped when the device runs short of room. Some browsers ask before they promise it,
// so that only an app asks for it.
if (matchMedia("(display-mode: standalone)").matches) navigator.storage?.persist?.();
