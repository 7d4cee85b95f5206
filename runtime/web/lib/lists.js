/**
 * Candidates by token centroids, as `latelite.indexes.ivf` and `interaction` find them in Python.
 *
 * Every token is represented by its nearest centroid. Centroids near the query's tokens lead to documents; MaxSim over
 * all centroids of those, then over the tokens of the nearest centroids, leaves a few dozen for exact scores.
 */

import { roundHalfEven } from "./maxsim.js";

const TOGETHER = 8;
const WIDTH = 32;
const MARGIN = 6;
const FOLDS = 16;
const ROWS_AT_ONCE = 4096;
const SAME = 0.9;
const INTERACTING = 2;
const GROWTH = 1.28;
const CENTROIDS_PER_PROBE = 400;
const PER_RESULT = 12;
// Tokens of small parts that are scored without centroids, which would take as long.
const SCORED_WHOLE = 32_768;
const RANKED = 28;
const RANKED_PER_RESULT = 2;
const f32 = Math.fround;

/**
 * A codebook and what it says about the documents; see `latelite.indexes.lists.Lists`.
 * @typedef {object} Lists
 * @property {Uint8Array} codebook (centroids x dim) components divided by `steps` and rounded, plus 128
 * @property {Float32Array} steps (dim)
 * @property {Uint16Array} members (rows x 8) centroids of each document, document after document
 * @property {Uint32Array} membersOffsets (documents + 1) first row of each document
 * @property {Uint16Array} tokens number of each token inside its document, member after member
 * @property {Uint32Array} tokensOffsets (rows x 8 + 1) first of `tokens` of each member
 * @property {Uint32Array} postings documents of each centroid, ascending, centroid after centroid
 * @property {Uint32Array} postingsOffsets (centroids + 1)
 */

/**
 * Documents of one part of the collection on their way through the steps.
 * @typedef {object} Reached
 * @property {Part} part
 * @property {Int32Array} numbers of documents inside the part, ascending
 * @property {Float32Array} scores by the last step
 * @property {Map<number, Uint8Array>} [best] bytes that made the scores of the second step
 */

/**
 * A part of a collection: what one segment of it was in Python.
 * @typedef {object} Part
 * @property {import("./maxsim.js").Store} store
 * @property {Lists | null} lists null where all documents are scanned
 */

/** Finds the documents that are worth an exact score. */
export class Candidates {
  /**
   * @param {any} ort the module onnxruntime-web
   * @param {any} products session of the graph that multiplies centroids by a query
   * @param {import("./maxsim.js").MaxSim} maxsim
   * @param {{n_probe: number, n_candidates: number}} parameters of the index
   */
  constructor(ort, products, maxsim, { n_probe, n_candidates }) {
    this._ort = ort;
    this._products = products;
    this._maxsim = maxsim;
    this._probes = n_probe;
    this._wanted = n_candidates;
  }

  /**
   * Documents to score, ascending, for each part; null where all that are allowed are to be scored.
   * @param {Float32Array} query (query tokens x dim)
   * @param {number} k
   * @param {Part[]} parts
   * @param {(Uint8Array | null)[]} allowed for each part (documents) 1 where a document may be returned; null allows all
   * @returns {Promise<(Int32Array | null)[]>}
   */
  async find(query, k, parts, allowed) {
    const found = parts.map(() => /** @type {Int32Array | null} */ (null));
    if (!query.length || parts.every((part) => part.lists === null)) return found;
    const listed = parts.reduce((sum, { lists, store }) => sum + (lists === null ? 0 : store.offsets.length - 1), 0);
    const wanted = Math.max(this._wanted, PER_RESULT * k, Math.floor(GROWTH * listed ** (2 / 3) + 0.5));
    const few = merged(query, parts[0].store.dim);
    const closeness = new Map();
    /** @type {(Reached & {all: Int32Array})[]} */
    let probed = [];
    let budget = SCORED_WHOLE;
    for (const [place, part] of parts.entries()) {
      if (part.lists === null) continue;
      const documents = part.store.offsets.length - 1;
      const all = numbersOf(allowed[place], documents);
      const tokens = tokensOf(part.store, allowed[place] === null ? null : all);
      if (all.length <= wanted && tokens <= budget) {
        budget -= tokens;
        found[place] = all;
        continue;
      }
      found[place] = new Int32Array(0);
      const { codebook } = part.lists;
      if (!closeness.has(codebook)) closeness.set(codebook, await this._closeness(few, part));
      probed.push({ part, all, ...probe(closeness.get(codebook), part.lists, documents, allowed[place]) });
    }
    // A narrow filter, or a query that is far from everything.
    if (probed.reduce((sum, { numbers }) => sum + numbers.length, 0) < wanted) probed = probed.map(among);
    const near = bestOf(probed, Math.ceil(INTERACTING * wanted)).map(({ part, numbers }) => ({
      part,
      numbers,
      ...interact(closeness.get(part.lists.codebook), part.lists, numbers),
    }));
    const rough = [];
    for (const { part, numbers, best } of bestOf(near, wanted)) {
      rough.push({ part, numbers, scores: await this._nearScores(closeness.get(part.lists.codebook), few, part, numbers, best) });
    }
    for (const { part, numbers } of bestOf(rough, Math.max(RANKED, Math.floor(wanted / RANKED), Math.ceil(RANKED_PER_RESULT * k)))) {
      found[parts.indexOf(part)] = numbers;
    }
    return found;
  }

  /** The table of products of query tokens with centroids as bytes, and which centroids to look into. */
  async _closeness(query, { store: { dim }, lists: { codebook, steps } }) {
    const columns = query.length / dim;
    const centroids = codebook.length / dim;
    const counts = new Float32Array(columns);
    const rounded = new Int8Array(query.length);
    for (let token = 0; token < columns; token++) {
      let widest = 0;
      for (let place = 0; place < dim; place++) widest = Math.max(widest, Math.abs(f32(query[token * dim + place] * steps[place])));
      counts[token] = (widest > 0 ? widest : 1) / 63;
      for (let place = 0; place < dim; place++) {
        rounded[place * columns + token] = roundHalfEven(f32(f32(query[token * dim + place] * steps[place]) / counts[token]));
      }
    }
    const products = new Int32Array(centroids * columns);
    const { Tensor } = this._ort;
    for (let start = 0; start < centroids; start += ROWS_AT_ONCE) {
      const rows = Math.min(ROWS_AT_ONCE, centroids - start);
      const output = await this._products.run({
        rows: new Tensor("uint8", codebook.subarray(start * dim, (start + rows) * dim), [rows, dim]),
        columns: new Tensor("int8", rounded, [dim, columns]),
      });
      products.set(output.products.data, start * columns);
      output.products.dispose();
    }
    const probes = Math.max(this._probes, Math.floor(centroids / CENTROIDS_PER_PROBE));
    return table(products, counts, columns, probes);
  }

  /** MaxSim over the tokens that the centroids say may matter, with a query of 7 bits. */
  async _nearScores(closeness, query, { store, lists }, numbers, best) {
    const { membersOffsets, members, tokensOffsets, tokens } = lists;
    const { width, bytes } = closeness;
    const least = new Uint8Array(width);
    const rows = [];
    const counts = new Int32Array(numbers.length);
    numbers.forEach((number, place) => {
      const found = best.get(number);
      for (let column = 0; column < width; column++) least[column] = Math.max(found[column], MARGIN + 1) - MARGIN;
      const first = store.offsets[number];
      for (let member = membersOffsets[number] * TOGETHER; member < membersOffsets[number + 1] * TOGETHER; member++) {
        const base = members[member] * width;
        let matters = false;
        for (let column = 0; column < width && !matters; column++) matters = bytes[base + column] >= least[column];
        if (!matters) continue;
        for (let token = tokensOffsets[member]; token < tokensOffsets[member + 1]; token++) {
          rows.push(first + tokens[token]);
          counts[place]++;
        }
      }
    });
    const scores = new Float32Array(numbers.length).fill(-Infinity);
    const some = [...counts.keys()].filter((place) => counts[place] > 0);
    const found = await this._maxsim.rowScores(query, store, rows, some.map((place) => counts[place]));
    some.forEach((place, number) => (scores[place] = found[number]));
    return scores;
  }
}

/**
 * @param {Uint8Array | null} allowed
 * @param {number} documents
 * @returns {Int32Array} numbers of the allowed documents
 */
export function numbersOf(allowed, documents) {
  const numbers = new Int32Array(documents);
  let count = 0;
  for (let number = 0; number < documents; number++) if (allowed === null || allowed[number]) numbers[count++] = number;
  return numbers.subarray(0, count);
}

/**
 * @param {import("./maxsim.js").Store} store
 * @param {Int32Array | null} documents null for all
 * @returns {number} how many tokens they have
 */
function tokensOf({ offsets }, documents) {
  if (documents === null) return offsets.at(-1);
  return documents.reduce((sum, number) => sum + offsets[number + 1] - offsets[number], 0);
}

/**
 * All that may be returned of a part; what was not reached comes last.
 * @template {Reached & {all: Int32Array}} T
 * @param {T} part
 * @returns {T}
 */
function among(part) {
  const known = new Map([...part.numbers].map((number, place) => [number, part.scores[place]]));
  return { ...part, numbers: part.all, scores: Float32Array.from(part.all, (number) => known.get(number) ?? -Infinity) };
}

/** Nearly equal query tokens added up: the steps here only propose. */
function merged(query, dim) {
  const count = query.length / dim;
  const product = (one, other) => {
    let sum = 0;
    for (let place = 0; place < dim; place++) sum += query[one * dim + place] * query[other * dim + place];
    return sum;
  };
  const squares = Array.from({ length: count }, (_, token) => product(token, token));
  const first = Array.from({ length: count }, (_, token) => {
    for (let other = 0; other < count; other++) {
      if (product(other, token) >= SAME * Math.max(squares[token], squares[other])) return other;
    }
    return token;
  });
  while (first.some((token) => first[token] !== token)) first.forEach((token, place) => (first[place] = first[token]));
  const kept = [...new Set(first)].sort((a, b) => a - b);
  const sums = new Float32Array(kept.length * dim);
  first.forEach((token, place) => {
    const to = kept.indexOf(token) * dim;
    for (let each = 0; each < dim; each++) sums[to + each] += query[place * dim + each];
  });
  return sums;
}

/** Products as bytes: for each query token up to the largest, from one that nearly all documents have a centroid above. */
function table(products, counts, columns, probes) {
  const centroids = products.length / columns;
  const folds = centroids % FOLDS || centroids / FOLDS < probes ? 1 : FOLDS;
  const groups = centroids / folds;
  const width = Math.ceil(columns / WIDTH) * WIDTH;
  const bytes = new Uint8Array(centroids * width);
  const weights = new Float32Array(columns);
  const probed = [];
  let base = 0;
  const column = new Int32Array(groups);
  for (let token = 0; token < columns; token++) {
    for (let group = 0; group < groups; group++) {
      let most = products[group * columns + token];
      for (let fold = 1; fold < folds; fold++) most = Math.max(most, products[(fold * groups + group) * columns + token]);
      column[group] = most;
    }
    const ordered = column.slice().sort();
    const [lowest, largest] = [f32(ordered[0]), f32(ordered[groups - 1])];
    const border = ordered[groups - Math.min(probes, groups)];
    const scale = f32(255 / Math.max(f32(largest - lowest), 1));
    for (let centroid = 0; centroid < centroids; centroid++) {
      const product = products[centroid * columns + token];
      bytes[centroid * width + token] = Math.max(f32(f32(f32(product) - lowest) * scale), 0);
      if (product >= border) probed.push([centroid, token]);
    }
    weights[token] = counts[token] / scale;
    base = f32(base + f32(lowest * counts[token]));
  }
  return { bytes, width, columns, weights, base, probed };
}

/** Documents that the probed centroids lead to, ascending, and their scores. */
function probe({ bytes, width, columns, weights, base, probed }, { postings, postingsOffsets }, documents, allowed) {
  // A document that a query token did not reach counts with the worst of the centroids probed for it.
  const best = new Uint8Array(documents * columns);
  const floor = new Uint8Array(columns).fill(255);
  for (const [centroid, token] of probed) floor[token] = Math.min(floor[token], bytes[centroid * width + token]);
  const touched = new Uint8Array(documents);
  for (const [centroid, token] of probed) {
    const value = bytes[centroid * width + token];
    for (let place = postingsOffsets[centroid]; place < postingsOffsets[centroid + 1]; place++) {
      const document = postings[place];
      touched[document] = 1;
      const at = document * columns + token;
      if (value > best[at]) best[at] = value;
    }
  }
  const numbers = numbersOf(touched, documents).filter((number) => allowed === null || allowed[number]);
  const scores = Float32Array.from(numbers, (number) => {
    let sum = 0;
    for (let token = 0; token < columns; token++) sum += Math.max(best[number * columns + token], floor[token]) * weights[token];
    return sum + base;
  });
  return { numbers, scores };
}

/** MaxSim over all centroids of some documents: their scores, and the bytes that make them. */
function interact({ bytes, width, columns, weights, base }, { members, membersOffsets }, numbers) {
  const best = new Map();
  const scores = Float32Array.from(numbers, (number) => {
    const most = new Uint8Array(width);
    for (let member = membersOffsets[number] * TOGETHER; member < membersOffsets[number + 1] * TOGETHER; member++) {
      const row = members[member] * width;
      for (let token = 0; token < columns; token++) if (bytes[row + token] > most[token]) most[token] = bytes[row + token];
    }
    best.set(number, most);
    let sum = 0;
    for (let token = 0; token < columns; token++) sum += most[token] * weights[token];
    return sum + base;
  });
  return { scores, best };
}

/**
 * The `wanted` best of all parts, still ascending in each; equal scores at the border all stay.
 * @param {Reached[]} reached
 * @param {number} wanted
 * @returns {Reached[]} without parts that are left without documents
 */
function bestOf(reached, wanted) {
  const total = reached.reduce((sum, { numbers }) => sum + numbers.length, 0);
  if (total <= wanted) return reached;
  const scores = new Float32Array(total);
  reached.reduce((start, part) => (scores.set(part.scores, start), start + part.scores.length), 0);
  const border = scores.sort()[total - wanted];
  return reached
    .map((part) => ({
      ...part,
      numbers: part.numbers.filter((_, place) => part.scores[place] >= border),
      scores: part.scores.filter((score) => score >= border),
    }))
    .filter((part) => part.numbers.length);
}
