// Where the page gets its data from. Another source (a search that runs in the browser itself) has the same four methods.

/** An answer that is an error. `retryAfter` is in seconds where coming back later helps; `status` is 401 where a token is missing. */
export class BackendError extends Error {
  constructor(message, { status = 0, retryAfter = 0 } = {}) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** The HTTP API of `latelite serve`. */
class HttpBackend {
  #base = new URL("../", import.meta.url);
  #token = sessionStorage.getItem("token");

  /** Use this token from now on. */
  setToken(token) {
    this.#token = token;
    sessionStorage.setItem("token", token);
  }

  /** Names of the collections, the default one first, and how many documents each has (null while it is being opened). */
  async collections() {
    return (await this.#ask("api/collections")).collections;
  }

  /** The best `k` hits: `{hits: [{id, score, text, metadata, matches: [{query, start, end, score}]}], seconds}`; offsets count code points. */
  search({ collection, question, k, mode, where, signal }) {
    const body = { q: question, k, mode, explain: true, ...(where ? { where } : {}) };
    return this.#ask(`${path(collection)}/search`, { signal, body });
  }

  /** Documents without a question: `{documents: [{id, text, metadata}], total}`. */
  list({ collection, where, limit, signal }) {
    return this.#ask(`${path(collection)}/documents?limit=${limit}${condition(where)}`, { signal });
  }

  /** What there is to filter by: `[{field, many, values: [{value, count}]}]`. */
  async facets({ collection, signal }) {
    return (await this.#ask(`${path(collection)}/facets`, { signal })).facets;
  }

  /** A document, with the passages around it in its file: `{id, text, metadata, before, after}`. */
  document({ collection, id, around, signal }) {
    return this.#ask(`${path(collection)}/documents/${encodeURIComponent(id)}?around=${around}`, { signal });
  }

  async #ask(address, { signal, body } = {}) {
    const headers = {};
    if (this.#token) headers.authorization = `Bearer ${this.#token}`;
    if (body) headers["content-type"] = "application/json";
    let response;
    try {
      response = await fetch(new URL(address, this.#base), { signal, headers, method: body ? "POST" : "GET", body: body && JSON.stringify(body) });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new BackendError("", { retryAfter: 3 });
    }
    const answer = await response.json().catch(() => ({}));
    if (response.ok) return answer;
    throw new BackendError(answer.error ?? `HTTP ${response.status}`, {
      status: response.status,
      retryAfter: Number(response.headers.get("retry-after")) || 0,
    });
  }
}

const path = (collection) => `api/${encodeURIComponent(collection)}`;
const condition = (where) => (where ? `&where=${encodeURIComponent(JSON.stringify(where))}` : "");

export const backend = new HttpBackend();
