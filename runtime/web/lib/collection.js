/** A collection in memory: model, vectors and postings of one export, and the searches in them. */

import { Analyzer, withWords } from "./analyzer.js";
import { Encoder } from "./encoder.js";
import { FormatError, QueryError } from "./errors.js";
import { Explainer } from "./explain.js";
import { Files } from "./files.js";
import { parse } from "./filters.js";
import { BM25 } from "./lexical.js";
import { Candidates } from "./lists.js";
import { MaxSim } from "./maxsim.js";
import { documentsWithin, openPart, postingsOf } from "./parts.js";
import { Ranking } from "./ranking.js";
import { Records } from "./records.js";
import { load as loadThirdParty } from "./third_party.js";
import { Tokenization } from "./tokenization.js";
import { openTokenizer } from "./tokenizer.js";

/** The rule by which texts become terms; `analyzer.js` follows it. */
const TERMS = "subwords, first letters of words";
const MODES = ["hybrid", "semantic", "lexical"];

/**
 * One search result.
 * @typedef {object} Hit
 * @property {number | string} id
 * @property {number} score what the hits are ordered by
 * @property {string} text
 * @property {Record<string, any>} metadata
 * @property {number | null} semantic MaxSim per query token; null in mode "lexical"
 * @property {number | null} lexical BM25 as a share of its upper bound; null in mode "semantic"
 * @property {Match[]} matches with `explain`, else empty
 */

/**
 * Which words of the query matched which part of a hit's text.
 * @typedef {object} Match
 * @property {string} query words of the query
 * @property {number} start first UTF-16 unit in the text
 * @property {number} end one past the last
 * @property {number} score cosine
 */

/** An exported collection. */
export class WebCollection {
  /**
   * @param {string} location URL of the export's folder, or in Node a path
   * @param {{onProgress?: (progress: {loaded: number, total: number}) => void, partial?: boolean, threads?: number}} [options]
   *   as {@link import("../latelite.js").open}
   * @returns {Promise<WebCollection>}
   */
  static async open(location, { onProgress = () => {}, partial = false, threads } = {}) {
    let loaded = 0;
    let total = 0;
    const files = new Files(location, { onBytes: (bytes) => onProgress({ loaded: (loaded += bytes), total }) });
    const index = await files.open();
    if (index.lexical.terms !== TERMS) {
      throw new FormatError(
        `this collection has terms by the rule "${index.lexical.terms}", which this library does not know; take the latelite.js that lies beside it.`,
      );
    }
    const apart = new Set(["texts", "places"]); // read when they are shown
    total = Object.entries(index.files)
      .filter(([name]) => !apart.has(name))
      .flatMap(([, file]) => file.parts)
      .reduce((sum, part) => sum + part.stored, 0);
    onProgress({ loaded, total });

    const [{ ort, Tokenizer }, wasm] = await Promise.all([loadThirdParty(), files.read("wasm")]);
    ort.env.wasm.wasmBinary = wasm.buffer;
    ort.env.wasm.numThreads = threads ?? (globalThis.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency) : 1);
    ort.env.logLevel = "error";
    const { manifest } = index.model;
    const graphs = ["float32", "int7", "int14", "products"];
    const [encoder, description, records, postings, products, maxsim] = await Promise.all([
      files.read("model").then((graph) => Encoder.load(ort, graph, manifest)),
      files.read("tokenizer").then((bytes) => JSON.parse(new TextDecoder().decode(bytes))),
      Records.load(files),
      postingsOf(files),
      files.read("maxsim/products").then((graph) => ort.InferenceSession.create(graph)),
      Promise.all(graphs.slice(0, 3).map(async (kind) => [kind, await files.read(`maxsim/${kind}`)])).then((read) =>
        MaxSim.load(ort, Object.fromEntries(read)),
      ),
    ]);
    const tokenizer = openTokenizer(Tokenizer, description);
    const collection = new WebCollection(files, {
      records,
      encoder,
      description,
      dim: manifest.dim,
      tokenization: new Tokenization(tokenizer, manifest),
      analyzer: new Analyzer(tokenizer, description, manifest.token_ids),
      ranking: new Ranking(maxsim, new Candidates(ort, products, maxsim, index.parameters), new BM25(postings, index.lexical), index.lexical.weight),
    });
    await collection._load(partial);
    return collection;
  }

  constructor(files, { records, encoder, description, dim, tokenization, analyzer, ranking }) {
    this._files = files;
    this._records = records;
    this._encoder = encoder;
    this._tokenization = tokenization;
    this._analyzer = analyzer;
    this._ranking = ranking;
    this._explainer = new Explainer({ description, tokenization, analyzer, ranking, dim });
    const { title, model, documents, tokens } = files.index;
    /** What was exported. */
    this.description = { title, documents, tokens, model: model.name, precision: model.precision };
    /** @type {import("./lists.js").Part[]} */
    this._parts = [];
    this._loaded = [];
    /** @type {Promise<any>} */
    this._turn = Promise.resolve();
    /**
     * Fulfilled when everything is loaded, with whether the collection can now be opened without a network.
     * @type {Promise<boolean>}
     */
    this.complete = Promise.resolve(false);
  }

  /** Number of documents. */
  get length() {
    return this._records.length;
  }

  /**
   * The best documents for a query, best first.
   * @param {string} query free text in any language of the model
   * @param {object} [options]
   * @param {number} [options.k] number of hits; fewer come back only when fewer documents match
   * @param {Record<string, any> | ((metadata: Record<string, any>) => boolean)} [options.where] restricts the candidates
   *   before they are scored
   * @param {"hybrid" | "semantic" | "lexical"} [options.mode]
   * @param {boolean} [options.explain] whether to say which words matched where
   * @param {AbortSignal} [options.signal]
   * @returns {Promise<Hit[]>}
   */
  search(query, { k = 5, where, mode = "hybrid", explain = false, signal } = {}, { cancelled = () => false } = {}) {
    return this._inTurn(async () => {
      if (cancelled() || signal?.aborted) throw new DOMException("The search was aborted.", "AbortError");
      if (typeof query !== "string") throw new TypeError(`a query must be a string, not ${typeof query}.`);
      if (!Number.isInteger(k) || k < 1) throw new QueryError(`k must be a whole number of at least 1, not ${k}.`);
      if (!MODES.includes(mode)) throw new QueryError(`mode must be one of ${MODES.join(", ")}, not ${JSON.stringify(mode)}.`);
      const allowed = this._allowed(where);
      const vectors = mode === "lexical" ? null : await this._encodedQuery(query);
      const terms = mode === "semantic" ? null : this._analyzer.ids(query);
      const ranked = await this._ranking.rank({ vectors, terms, k, parts: this._parts, allowed });
      const numbers = ranked.map(({ number }) => number);
      const documents = await Promise.all(numbers.map((number) => this._records.document(number)));
      const matches = explain ? await this._explained(query, vectors ?? (await this._encodedQuery(query)), numbers) : null;
      return ranked.map(({ score, semantic, lexical }, place) => {
        const { id, text, metadata } = documents[place];
        return { id, score, text, metadata, semantic, lexical, matches: matches?.[place] ?? [] };
      });
    });
  }

  /**
   * Token vectors of one text, L2-normalised: an array of them for a text, a list of such arrays for a list.
   * @param {string | string[]} text
   * @param {{isQuery?: boolean}} [options] isQuery: false encodes as a document
   * @returns {Promise<Float32Array[] | Float32Array[][]>}
   */
  encode(text, { isQuery = true } = {}) {
    return this._inTurn(async () => {
      const one = async (each) => {
        if (typeof each !== "string") throw new TypeError(`a text must be a string, not ${typeof each}.`);
        const tokens = this._tokenization[isQuery ? "query" : "document"](this._prompted(each, isQuery));
        const vectors = await this._encoder.run(tokens);
        const { dim } = this._encoder;
        return Array.from({ length: vectors.length / dim }, (_, row) => vectors.subarray(row * dim, (row + 1) * dim));
      };
      if (!Array.isArray(text)) return one(text);
      const all = [];
      for (const each of text) all.push(await one(each));
      return all;
    });
  }

  /**
   * Which words of a query match which part of a document.
   * @param {string} query
   * @param {number | string} id
   * @returns {Promise<Match[]>}
   */
  explain(query, id) {
    return this._inTurn(async () => {
      const [matches] = await this._explained(query, await this._encodedQuery(query), [this._number(id)]);
      return matches;
    });
  }

  /**
   * The document with this id.
   * @param {number | string} id
   * @returns {Promise<import("./records.js").Document>}
   */
  async get(id) {
    return this._records.document(this._number(id));
  }

  /**
   * The document with this id, and the passages around it in the file that its metadata names by `path`.
   * @param {number | string} id
   * @param {{around?: number}} [options]
   */
  async document(id, { around = 0 } = {}) {
    const number = this._number(id);
    const { before, after } = this._records.neighbours(number, around);
    const read = (numbers) => Promise.all(numbers.map((each) => this._records.document(each)));
    return { ...(await this._records.document(number)), before: await read(before), after: await read(after) };
  }

  /**
   * Documents in the order in which they were added.
   * @param {{where?: any, limit?: number, offset?: number}} [options]
   * @returns {Promise<import("./records.js").Document[]>}
   */
  async documents({ where, limit = Infinity, offset = 0 } = {}) {
    const numbers = this._records.matching(where == null ? null : parse(where)).slice(offset, offset + limit);
    return Promise.all(numbers.map((number) => this._records.document(number)));
  }

  /** @param {{where?: any}} [options] */
  async count({ where } = {}) {
    return this._records.matching(where == null ? null : parse(where)).length;
  }

  /**
   * Fields to filter by, with their most frequent values.
   * @param {{where?: any}} [options] only among these documents
   */
  async facets({ where } = {}) {
    return this._records.facets(where == null ? null : parse(where));
  }

  /** There is nothing to let go of: for symmetry with a collection in a worker. */
  close() {}

  /** What `explain` says of some documents. */
  async _explained(query, asked, numbers) {
    const prompt = this._prompt(true);
    const question = this._explainer.question(query, prompt, asked);
    return Promise.all(
      numbers.map(async (number) => {
        const [text, { spans, clusters, subwords }] = await Promise.all([this._records.text(number), this._records.places(number)]);
        const terms = withWords(subwords, text);
        const vectors = /** @type {Float32Array} */ (this._vectors(number));
        return this._explainer.matches(question, { text, vectors, spans, clusters, terms });
      }),
    );
  }

  /** Token vectors of a document as they are stored. */
  _vectors(number) {
    for (const { store } of this._parts) {
      const documents = store.offsets.length - 1;
      if (number < documents) {
        const { dim, grid } = store;
        const codes = store.tokens.subarray(store.offsets[number] * dim, store.offsets[number + 1] * dim);
        if (grid === null) return codes;
        return Float32Array.from(codes, (code, place) => grid.offset[place % dim] + grid.scale[place % dim] * code);
      }
      number -= documents;
    }
    return new Float32Array(0);
  }

  /** Load vectors and lists; with `partial`, return when the first documents are there. */
  async _load(partial) {
    const { parts } = this._files.index;
    const codebooks = new Map();
    this._parts = await Promise.all(parts.map((part, number) => openPart(this._files, part, number, codebooks)));
    this._loaded = parts.map(() => 0);
    let some;
    const first = new Promise((resolve) => (some = resolve));
    const reading = parts.map(async ({ quantised }, number) => {
      const { store } = this._parts[number];
      const row = store.dim * (quantised ? 1 : 4);
      await this._files.read(`parts/${number}/tokens`, (bytes, whole) => {
        // Whole documents, as far as the vectors have come.
        store.tokens = quantised ? new Int8Array(whole.buffer) : new Float32Array(whole.buffer);
        this._loaded[number] = documentsWithin(store.offsets, bytes / row);
        if (this._loaded[number]) some();
      });
      this._loaded[number] = store.offsets.length - 1;
    });
    const everything = Promise.all(reading);
    this.complete = everything.then(() => this._files.keep());
    this.complete.catch(() => {}); // whoever cares awaits it
    await (partial ? Promise.race([first, everything]) : everything);
  }

  /** For each part the documents that may be returned; null where all may. */
  _allowed(where) {
    const condition = where == null ? null : parse(where);
    let first = 0;
    return this._parts.map(({ store }, place) => {
      const documents = store.offsets.length - 1;
      const base = first;
      first += documents;
      const there = this._loaded[place];
      if (condition === null && there === documents) return null;
      const allowed = new Uint8Array(documents);
      for (let number = 0; number < there; number++) {
        allowed[number] = condition === null || condition(this._records.metadata[base + number]) ? 1 : 0;
      }
      return allowed;
    });
  }

  _encodedQuery(query) {
    return this._encoder.run(this._tokenization.query(this._prompted(query, true)));
  }

  _prompted(text, isQuery) {
    return this._prompt(isQuery) + text;
  }

  /** What the model wants in front of a text. */
  _prompt(isQuery) {
    const { prompts, default_prompt_name } = this._files.index.model.manifest.settings;
    const names = isQuery ? ["query"] : ["document", "passage", "corpus"];
    const name = names.find((each) => Object.hasOwn(prompts, each)) ?? default_prompt_name;
    return name === null ? "" : prompts[name];
  }

  _number(id) {
    const number = this._records.numberOf(id);
    if (number === undefined) throw new QueryError(`the id ${JSON.stringify(id)} is not in the collection.`);
    return number;
  }

  /**
   * One after another: a session of ONNX Runtime Web runs once at a time.
   * @template T
   * @param {() => Promise<T>} task
   * @returns {Promise<T>}
   */
  _inTurn(task) {
    const result = this._turn.then(task);
    this._turn = result.catch(() => {});
    return result;
  }
}
