/**
 * `<latelite-search>`: a search box with results for any page.
 *
 *     <script type="module" src="search/element.js"></script>
 *     <latelite-search></latelite-search>
 *
 * Attributes: `src` (folder of the export; default: where this file lies), `k` (results, default 5), `placeholder`, `mode`,
 * and `where` (a filter as JSON). Results link to the `url` of their metadata where there is one. The look can be changed
 * with the CSS parts `input`, `status`, `results`, `result`, `title` and `excerpt`; the element fires `latelite-results`.
 */

import { excerpt, open } from "./latelite.js";

const PAUSE = 120;
const TITLES = ["title", "name", "subject", "path"];

const STYLE = `
:host { display: block; font: inherit; }
input { box-sizing: border-box; width: 100%; padding: .5em .7em; font: inherit; color: inherit; background: Field; border: 1px solid GrayText; border-radius: .4em; }
ol { margin: .5em 0 0; padding: 0; list-style: none; }
li { padding: .5em 0; }
.title { font-weight: 600; color: inherit; }
p { margin: .2em 0 0; font-size: .9em; line-height: 1.45; }
mark { color: inherit; background: color-mix(in srgb, Mark 45%, transparent); border-radius: .15em; }
[role=status] { min-height: 1.3em; margin: .3em 0 0; font-size: .85em; opacity: .75; }
`;

class LateliteSearch extends HTMLElement {
  /** @type {HTMLInputElement} */
  _input;
  /** @type {HTMLElement} */
  _status;
  /** @type {HTMLElement} */
  _list;
  /** @type {Promise<import("./lib/collection.js").WebCollection> | undefined} */
  _opening;
  /** @type {AbortController | undefined} */
  _asking;
  _isWaiting = false;
  _pause = 0;

  connectedCallback() {
    if (this.shadowRoot) return;
    const root = this.attachShadow({ mode: "open" });
    root.innerHTML = `<style>${STYLE}</style><input part="input" type="search" autocomplete="off" enterkeyhint="search"><p part="status" role="status"></p><ol part="results"></ol>`;
    this._input = root.querySelector("input");
    this._status = root.querySelector("[role=status]");
    this._list = root.querySelector("ol");
    this._input.placeholder = this.getAttribute("placeholder") ?? "Search";
    this._input.setAttribute("aria-label", this._input.placeholder);
    // Whoever looks at the box is likely to type: 20 MB are not fetched for those who do not.
    this._input.addEventListener("focus", () => this.preload(), { once: true });
    this._input.addEventListener("input", () => {
      clearTimeout(this._pause);
      this._pause = window.setTimeout(() => this.search(this._input.value), PAUSE);
    });
  }

  /** Begin to load the collection. */
  preload() {
    this._opening ??= open(this.getAttribute("src") ?? undefined, {
      partial: true,
      onProgress: ({ loaded, total }) => {
        if (this._isWaiting) this._status.textContent = loaded < total ? `${Math.floor((100 * loaded) / total)} %` : "";
      },
    });
    this._opening.catch(() => (this._opening = undefined));
    return this._opening;
  }

  /**
   * Search, and show what is found.
   * @param {string} question
   */
  async search(question) {
    this._asking?.abort();
    this._asking = new AbortController();
    const { signal } = this._asking;
    try {
      this._isWaiting = true;
      const collection = await this.preload();
      if (signal.aborted) return;
      this._isWaiting = false;
      const hits = question.trim() ? await collection.search(question, { ...this._options, explain: true, signal }) : [];
      this._status.textContent = "";
      this._list.replaceChildren(...hits.map(item));
      this.dispatchEvent(new CustomEvent("latelite-results", { detail: { question, hits }, bubbles: true, composed: true }));
    } catch (error) {
      if (error.name !== "AbortError") this._status.textContent = error.message;
    }
  }

  get _options() {
    return {
      k: Number(this.getAttribute("k")) || 5,
      mode: /** @type {any} */ (this.getAttribute("mode")) ?? "hybrid",
      where: this.hasAttribute("where") ? JSON.parse(this.getAttribute("where")) : undefined,
    };
  }
}

function item(hit) {
  const row = document.createElement("li");
  row.part = "result";
  const url = safeUrl(hit.metadata.url);
  const title = url ? Object.assign(document.createElement("a"), { href: url }) : document.createElement("span");
  title.part = "title";
  title.className = "title";
  const field = TITLES.find((name) => typeof hit.metadata[name] === "string" && hit.metadata[name].trim());
  title.textContent = field ? hit.metadata[field] : String(hit.id);
  const text = document.createElement("p");
  text.part = "excerpt";
  text.innerHTML = excerpt(hit);
  row.append(title, text);
  return row;
}

/** Metadata is data: an address in it may lead to a page, and nowhere else. */
function safeUrl(value) {
  if (typeof value !== "string") return null;
  try {
    const url = new URL(value, document.baseURI);
    return ["http:", "https:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

customElements.define("latelite-search", LateliteSearch);
