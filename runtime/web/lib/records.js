/** Ids, metadata and texts of the documents. Texts are fetched when they are shown. */

import { DamagedFileError } from "./errors.js";

const TEXTS_IN_MEMORY = 16; // parts, each of half a megabyte or so
const MOST_VALUES = 200;
const SHOWN_VALUES = 12;
const SHOWN_FIELDS = 8;
// Metadata that tells a passage's place in its file, the coarsest first.
const PLACES = ["page", "line", "start", "number"];

/**
 * One stored document; `truncated` where it is longer than what the model read.
 * @typedef {{id: number | string, text: string, metadata: Record<string, any>, truncated: boolean}} Document
 */

/** The documents of a collection by number, which counts them in the order of insertion. */
export class Records {
  /**
   * @param {import("./files.js").Files} files
   * @returns {Promise<Records>}
   */
  static async load(files) {
    const parts = await Promise.all(files.parts("records").map(async (part) => parsed(await files.part(part), part.documents)));
    return new Records(files, parts.flat());
  }

  constructor(files, records) {
    this._files = files;
    /** @type {(number | string)[]} */
    this.ids = records.map(([id]) => id);
    /** @type {Record<string, any>[]} */
    this.metadata = records.map(([, metadata]) => metadata);
    this._truncated = records.map(([, , truncated = 0]) => Boolean(truncated));
    this._numbers = new Map(this.ids.map((id, number) => [id, number]));
    this._parts = new Map();
  }

  get length() {
    return this.ids.length;
  }

  /**
   * @param {number | string} id
   * @returns {number | undefined}
   */
  numberOf(id) {
    return this._numbers.get(id);
  }

  /**
   * @param {number} number
   * @returns {Promise<Document>}
   */
  async document(number) {
    return { id: this.ids[number], text: await this.text(number), metadata: structuredClone(this.metadata[number]), truncated: this._truncated[number] };
  }

  /**
   * @param {number} number
   * @returns {Promise<string>}
   */
  async text(number) {
    const { content, first } = await this._part("texts", number, parsed);
    return content[number - first];
  }

  /**
   * Where the tokens and subwords of a document stand in its text, in UTF-16 units.
   * @param {number} number
   * @returns {Promise<{spans: [number, number][], clusters: Int32Array, subwords: {ids: Int32Array, spans: [number, number][]}}>}
   */
  async places(number) {
    const { content, first } = await this._part("places", number, placesOf);
    return content[number - first];
  }

  /**
   * Documents whose metadata fulfil a condition.
   * @param {import("./filters.js").Condition | null} condition null takes all
   * @returns {number[]}
   */
  matching(condition) {
    const numbers = [...this.ids.keys()];
    return condition === null ? numbers : numbers.filter((number) => condition(this.metadata[number]));
  }

  /**
   * The documents before and after one, of the file that its metadata names by `path`.
   * @param {number} number
   * @param {number} around
   * @returns {{before: number[], after: number[]}}
   */
  neighbours(number, around) {
    const { path } = this.metadata[number];
    if (typeof path !== "string") return { before: [], after: [] };
    const place = (each) => PLACES.map((name) => (typeof this.metadata[each][name] === "number" ? this.metadata[each][name] : 0));
    const passages = this.matching((metadata) => metadata.path === path)
      .map((each) => ({ each, place: place(each) }))
      .sort((a, b) => a.place.reduce((order, value, part) => order || value - b.place[part], 0) || a.each - b.each)
      .map(({ each }) => each);
    const at = passages.indexOf(number);
    return { before: passages.slice(Math.max(0, at - around), at), after: passages.slice(at + 1, at + 1 + around) };
  }

  /**
   * What there is to filter by: fields with their most frequent values. A field with too many values, with none that
   * occurs twice, or that tells a passage's place in its file, is left out.
   * @param {import("./filters.js").Condition | null} condition only among these documents
   * @returns {{field: string, many: boolean, values: {value: string | number | boolean, count: number}[]}[]}
   */
  facets(condition) {
    const fields = new Map();
    const refused = new Set(PLACES);
    for (const number of this.matching(condition)) {
      for (const [field, value] of Object.entries(this.metadata[number])) {
        if (refused.has(field)) continue;
        if (!fields.has(field)) fields.set(field, { field, many: false, counts: new Map() });
        const known = fields.get(field);
        known.many ||= Array.isArray(value);
        for (const each of Array.isArray(value) ? value : [value]) {
          if (!["string", "number", "boolean"].includes(typeof each) || String(each).length > 200) continue;
          known.counts.set(each, (known.counts.get(each) ?? 0) + 1);
        }
        if (known.counts.size > MOST_VALUES) {
          fields.delete(field);
          refused.add(field);
        }
      }
    }
    const total = (counts) => [...counts.values()].reduce((sum, count) => sum + count, 0);
    return [...fields.values()]
      .filter(({ counts }) => Math.max(0, ...counts.values()) > 1)
      .sort((a, b) => total(b.counts) - total(a.counts))
      .slice(0, SHOWN_FIELDS)
      .map(({ field, many, counts }) => ({
        field,
        many,
        values: [...counts]
          .sort((a, b) => b[1] - a[1])
          .slice(0, SHOWN_VALUES)
          .map(([value, count]) => ({ value, count })),
      }));
  }

  /** The stored part that holds a document, fetched once and kept for a while. */
  async _part(name, number, read) {
    const parts = this._files.parts(name);
    let first = 0;
    const place = parts.findIndex((part) => number < (first += part.documents));
    const part = parts[place];
    const key = `${name} ${place}`;
    const known = this._parts.get(key) ?? this._files.part(part, { isAwaited: false }).then((bytes) => read(bytes, part.documents));
    this._parts.delete(key); // to put it last
    this._parts.set(key, known);
    if (this._parts.size > TEXTS_IN_MEMORY) this._parts.delete(this._parts.keys().next().value);
    try {
      return { content: await known, first: first - part.documents };
    } catch (error) {
      this._parts.delete(key);
      throw error;
    }
  }
}

function parsed(bytes, documents) {
  const content = JSON.parse(new TextDecoder().decode(bytes));
  if (content.length !== documents) {
    throw new DamagedFileError(`a part with ${documents} documents holds ${content.length}. Export the collection again.`);
  }
  return content;
}

/**
 * For each document: how many tokens and subwords, spans and clusters of the tokens, ids and spans of the subwords; spans
 * and clusters as steps from the one before.
 */
function placesOf(bytes, documents) {
  const values = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  let at = 0;
  const take = (count) => values.subarray(at, (at += count));
  const spansOf = (steps) => {
    let start = 0;
    return Array.from({ length: steps.length / 2 }, (_, place) => {
      start += steps[2 * place];
      return /** @type {[number, number]} */ ([start, start + steps[2 * place + 1]]);
    });
  };
  const summed = (steps) => {
    let sum = 0;
    return steps.map((step) => (sum += step));
  };
  return Array.from({ length: documents }, () => {
    const [tokens, subwords] = take(2);
    return {
      spans: spansOf(take(2 * tokens)),
      clusters: summed(take(tokens)),
      subwords: { ids: take(subwords), spans: spansOf(take(2 * subwords)) },
    };
  });
}
