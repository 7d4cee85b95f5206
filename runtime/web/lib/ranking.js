/**
 * From a query's vectors and terms to the best documents, as `latelite.search` and `latelite.indexes.ranking` find them in
 * Python: MaxSim, BM25, and their sum.
 *
 * Parts that are scanned are scored with a query of 7 bits first. What such a score is off by has a proven bound, so
 * everything that may still be among the best is scored with all bits.
 */

import { best as lexicalBest } from "./lexical.js";
import { numbersOf } from "./lists.js";
import { roughError } from "./maxsim.js";

const NEAR = 2e-6;
const ROUGHLY_FROM = 4;
const BY_WORDS = 64;
const BY_MEANING = 20;

/**
 * @typedef {object} Ranked
 * @property {number} number of the document in the collection
 * @property {number} score
 * @property {number | null} semantic
 * @property {number | null} lexical
 */

/** Ranks documents. */
export class Ranking {
  /**
   * @param {import("./maxsim.js").MaxSim} maxsim
   * @param {import("./lists.js").Candidates} candidates
   * @param {import("./lexical.js").BM25} bm25
   * @param {number} weight of the lexical score beside a semantic one
   */
  constructor(maxsim, candidates, bm25, weight) {
    this._maxsim = maxsim;
    this._candidates = candidates;
    this._bm25 = bm25;
    this._weight = weight;
  }

  /** @param {number[]} terms */
  areCommon(terms) {
    return this._bm25.areCommon(terms);
  }

  /**
   * The `k` best documents, best first; ties as inserted.
   * @param {object} query
   * @param {Float32Array | null} query.vectors (query tokens x dim); null ranks by terms alone
   * @param {number[] | null} query.terms null ranks by vectors alone
   * @param {number} query.k
   * @param {import("./lists.js").Part[]} query.parts
   * @param {(Uint8Array | null)[]} query.allowed for each part the documents that may be returned; null allows all
   * @returns {Promise<Ranked[]>}
   */
  async rank({ vectors, terms, k, parts, allowed }) {
    const lexical = terms === null ? null : this._bm25.score(terms);
    const mask = joined(parts, allowed);
    if (vectors === null) return byWords(lexical, mask, k);
    const tokens = Math.max(vectors.length / parts[0].store.dim, 1);
    const factor = Math.fround(tokens * this._weight);
    const words = lexical?.map((score) => factor * score) ?? null;
    const chosen = await this._candidates.find(vectors, lexical === null ? k : Math.max(BY_MEANING, 2 * k), parts, allowed);
    const proposed = lexical === null ? null : lexicalBest(lexical, mask, Math.max(BY_WORDS, 4 * k));
    const found = new Found(this._maxsim, vectors, words, k);
    let first = 0;
    for (const [place, { store }] of parts.entries()) {
      const documents = store.offsets.length - 1;
      if (chosen[place] === null) await found.scan(store, numbersOf(allowed[place], documents), first);
      else await found.score(store, union(chosen[place], proposed, first, documents), first);
      first += documents;
    }
    return (await found.best()).map(({ number, total, maxsim }) => {
      return { number, score: total / tokens, semantic: maxsim / tokens, lexical: lexical?.[number] ?? null };
    });
  }
}

/** Documents with their scores, for one query. */
class Found {
  constructor(maxsim, vectors, words, k) {
    this._maxsim = maxsim;
    this._vectors = vectors;
    this._words = words;
    this._k = k;
    /** @type {{number: number, total: number, maxsim: number, store: any, place: number}[]} */
    this._scored = [];
    this._rough = [];
  }

  /** Score documents of a part with all bits. */
  async score(store, places, first) {
    if (!places.length) return;
    const scores = await this._maxsim.scores(this._vectors, store, places);
    places.forEach((place, at) => {
      const number = first + place;
      this._scored.push({ number, total: scores[at] + this._wordsOf(number), maxsim: scores[at], store, place });
    });
  }

  /** Score documents of a part roughly, and the best of them with all bits. */
  async scan(store, places, first) {
    if (store.grid === null || store.offsets.length - 1 <= ROUGHLY_FROM * this._k) return this.score(store, places, first);
    const scores = await this._maxsim.scores(this._vectors, store, places, { rough: true });
    const totals = Float64Array.from(scores, (score, at) => score + this._wordsOf(first + places[at]));
    // float32 rounds what is large: that is a part of the error, too.
    const error = roughError(this._vectors, store) + 1e-6 * scores.reduce((most, score) => Math.max(most, Math.abs(score)), 1);
    const border = places.length > this._k ? nthLargest(totals, this._k) : -Infinity;
    await this.score(store, places.filter((_, at) => totals[at] >= border), first);
    const left = [...places.keys()].filter((at) => totals[at] < border);
    this._rough.push({ store, first, error, places: left.map((at) => places[at]), totals: left.map((at) => totals[at]) });
  }

  /** The result, once all parts have been looked at. */
  async best() {
    const least = this._least();
    for (const { store, first, error, places, totals } of this._rough) {
      await this.score(store, places.filter((_, at) => totals[at] + error >= least), first);
    }
    const border = this._least();
    const kept = this._scored.filter(({ total }) => total >= border - tolerance(border));
    kept.sort(inOrder);
    await this._settle(kept);
    return kept.sort(inOrder).slice(0, this._k);
  }

  /** Score float32 documents that nearly tie anew, each by itself: a product rounds by where a row lies in it. */
  async _settle(kept) {
    const near = (one, other) => one && other && one.total - other.total <= tolerance(one.total);
    const ties = kept.filter((each, at) => each.store.grid === null && (near(kept[at - 1], each) || near(each, kept[at + 1])));
    for (const each of ties) {
      [each.maxsim] = await this._maxsim.scores(this._vectors, each.store, [each.place]);
      each.total = each.maxsim + this._wordsOf(each.number);
    }
  }

  _least() {
    return this._scored.length >= this._k ? nthLargest(this._scored.map(({ total }) => total), this._k) : -Infinity;
  }

  _wordsOf(number) {
    return this._words === null ? 0 : this._words[number];
  }
}

function byWords(lexical, mask, k) {
  return [...lexicalBest(lexical, mask, k)]
    .map((number) => ({ number, score: lexical[number], semantic: null, lexical: lexical[number] }))
    .sort((a, b) => b.score - a.score || a.number - b.number);
}

function inOrder(one, other) {
  return other.total - one.total || one.number - other.number;
}

function tolerance(score) {
  return NEAR * Math.max(Math.abs(score), 1);
}

/** The `n`-th largest of at least `n` scores. */
function nthLargest(scores, n) {
  return Float64Array.from(scores).sort()[scores.length - n];
}

/** One mask over all parts. */
function joined(parts, allowed) {
  if (allowed.every((mask) => mask === null)) return null;
  const mask = new Uint8Array(parts.reduce((sum, { store }) => sum + store.offsets.length - 1, 0));
  let first = 0;
  parts.forEach(({ store }, place) => {
    const documents = store.offsets.length - 1;
    if (allowed[place] === null) mask.fill(1, first, first + documents);
    else mask.set(allowed[place], first);
    first += documents;
  });
  return mask;
}

/** Documents of a part, ascending: its own, and those that are proposed by their numbers in the collection. */
function union(places, proposed, first, documents) {
  if (proposed === null) return places;
  const own = proposed.filter((number) => number >= first && number < first + documents).map((number) => number - first);
  return Int32Array.from(new Set([...places, ...own])).sort();
}
