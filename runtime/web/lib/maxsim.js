/**
 * MaxSim, the score of late interaction: for each query token the best document token, summed over the query.
 *
 * The products are computed by the same ONNX graphs as in Python (`latelite.maxsim_graphs`). int8 codes are multiplied
 * as integers with a query of 14 bits, or of 7 for a rough score, so both sides get the same numbers to the bit.
 */

/** Neighbouring rows whose maximum is taken inside the graph. */
export const GROUP = 8;
const BLOCK_ROWS = 1920;
const STEPS = 63;
const HIGH = 128;
const LOWEST = -2147483648;

/**
 * Token vectors of documents that lie one after another.
 * @typedef {object} Store
 * @property {Int8Array | Float32Array} tokens (tokens x dim) codes or vectors
 * @property {Uint32Array} offsets (documents + 1)
 * @property {{offset: Float32Array, scale: Float32Array} | null} grid what codes mean; null where tokens are float32
 * @property {number} longest L2 norm of the longest token, in codes
 * @property {number} dim
 */

/** Scores documents of a {@link Store}. */
export class MaxSim {
  /**
   * @param {any} ort the module onnxruntime-web
   * @param {{float32: any, int7: any, int14: any}} sessions of the graphs
   */
  constructor(ort, sessions) {
    this._ort = ort;
    this._sessions = sessions;
  }

  /**
   * @param {any} ort the module onnxruntime-web
   * @param {{float32: Uint8Array, int7: Uint8Array, int14: Uint8Array}} graphs
   * @returns {Promise<MaxSim>}
   */
  static async load(ort, graphs) {
    const sessions = {};
    for (const [kind, graph] of Object.entries(graphs)) {
      sessions[kind] = await ort.InferenceSession.create(graph, { executionProviders: ["wasm"] });
    }
    return new MaxSim(ort, /** @type {any} */ (sessions));
  }

  /**
   * Scores of some documents.
   * @param {Float32Array} query (query tokens x dim)
   * @param {Store} store
   * @param {ArrayLike<number>} documents numbers, any order
   * @param {{rough?: boolean}} [options] rough: with a query of 7 bits, which float32 stores have not
   * @returns {Promise<Float32Array>} in the order of `documents`; 0 where the query has no tokens
   */
  async scores(query, store, documents, { rough = false } = {}) {
    const lengths = Array.from(documents, (number) => store.offsets[number + 1] - store.offsets[number]);
    let document = 0;
    let within = 0;
    const next = () => {
      while (within === lengths[document]) {
        document++;
        within = 0;
      }
      return store.offsets[documents[document]] + within++;
    };
    return this._scores(fold(query, store, rough), store, lengths, next);
  }

  /**
   * Scores of documents by some of their tokens.
   * @param {Float32Array} query (query tokens x dim)
   * @param {Store} store
   * @param {ArrayLike<number>} rows numbers of rows, document after document
   * @param {ArrayLike<number>} lengths how many of `rows` belong to each document, at least one
   * @returns {Promise<Float32Array>} rough scores, one for each of `lengths`
   */
  async rowScores(query, store, rows, lengths) {
    let place = 0;
    return this._scores(fold(query, store, true), store, lengths, () => rows[place++]);
  }

  /**
   * @param {Folded} query
   * @param {Store} store
   * @param {ArrayLike<number>} lengths rows of each document
   * @param {() => number} next number of the next row
   */
  async _scores(query, store, lengths, next) {
    const count = lengths.length;
    const scores = new Float32Array(count);
    const width = query.width;
    if (!width || !count) return scores;
    const { dim, tokens } = store;
    const codes = query.kind !== "float32";
    const block = codes ? new Uint8Array(BLOCK_ROWS * dim) : new Float32Array(BLOCK_ROWS * dim);
    const copy = codes ? unsignedCopy(tokens, block, dim) : (row, to) => block.set(tokens.subarray(row, row + dim), to);
    const owners = new BigInt64Array(BLOCK_ROWS / GROUP);
    const most = codes ? new Int32Array(count * width).fill(LOWEST) : new Float32Array(count * width).fill(-Infinity);
    let filled = 0; // rows in the block
    let first = 0; // the document that the block begins with
    for (let document = 0; document < count; document++) {
      // Every document fills whole groups, so none is shared: its last row is repeated, which changes no maximum.
      let left = lengths[document];
      let row = 0;
      while (left > 0) {
        for (let member = 0; member < GROUP; member++) {
          if (left > 0) row = next() * dim;
          left--;
          copy(row, filled++ * dim);
        }
        owners[filled / GROUP - 1] = BigInt(document - first);
        if (filled === BLOCK_ROWS) {
          await this._merge(query, block, filled, owners, document - first + 1, dim, most, first);
          filled = 0;
          first = left > 0 ? document : document + 1;
        }
      }
    }
    if (filled) await this._merge(query, block, filled, owners, count - first, dim, most, first);
    for (let document = 0; document < count; document++) {
      let sum = 0;
      for (let token = 0; token < width; token++) {
        sum += most[document * width + token] * (query.steps === null ? 1 : query.steps[token]);
      }
      scores[document] = sum + query.constant;
    }
    return scores;
  }

  /** Take the maxima of one block into account. */
  async _merge(query, block, rows, owners, documents, dim, most, first) {
    const { Tensor } = this._ort;
    const { width, kind } = query;
    const groups = rows / GROUP;
    const element = kind === "float32" ? "float32" : "int32";
    const start = kind === "float32" ? new Float32Array(documents * width).fill(-Infinity) : new Int32Array(documents * width).fill(LOWEST);
    const feeds = {
      tokens: new Tensor(kind === "float32" ? "float32" : "uint8", block.subarray(0, rows * dim), [groups, GROUP, dim]),
      owners: new Tensor("int64", owners.slice(0, groups), [groups, 1]),
      shared: new Tensor("int64", new BigInt64Array(0), [0]),
      token_owners: new Tensor("int64", new BigInt64Array(0), [0, GROUP, 1]),
      start: new Tensor(element, start, [documents, width]),
    };
    const type = kind === "float32" ? "float32" : "int8";
    for (const [name, part] of Object.entries(query.parts)) feeds[name] = new Tensor(type, part, [dim, width]);
    const { maxima } = await this._sessions[kind].run(feeds);
    const found = maxima.data;
    const base = first * width;
    for (let place = 0; place < found.length; place++) {
      if (found[place] > most[base + place]) most[base + place] = found[place];
    }
    maxima.dispose();
  }
}

/**
 * A query, ready to be multiplied by the rows of a store.
 * @typedef {object} Folded
 * @property {"float32" | "int7" | "int14"} kind
 * @property {Record<string, Float32Array | Int8Array>} parts (dim x query tokens), inputs of the graph
 * @property {Float64Array | null} steps what an integer product counts, for each query token
 * @property {number} constant added to every score
 * @property {number} width query tokens
 */

/**
 * @param {Float32Array} query
 * @param {Store} store
 * @param {boolean} rough
 * @returns {Folded}
 */
function fold(query, { grid, dim }, rough) {
  const width = query.length / dim;
  if (grid === null) {
    const columns = new Float32Array(query.length);
    for (let token = 0; token < width; token++) {
      for (let place = 0; place < dim; place++) columns[place * width + token] = query[token * dim + place];
    }
    return { kind: "float32", parts: { query: columns }, steps: null, constant: 0, width };
  }
  const steps = stepsOf(query, grid, dim, rough);
  const high = new Int8Array(query.length);
  const low = new Int8Array(query.length);
  let offsets = 0;
  let bias = 0;
  for (let token = 0; token < width; token++) {
    let sum = 0;
    for (let place = 0; place < dim; place++) {
      const component = query[token * dim + place];
      offsets += component * grid.offset[place];
      const whole = roundHalfEven((component * grid.scale[place]) / steps[token]);
      sum += whole;
      const upper = rough ? whole : Math.floor((whole + HIGH / 2) / HIGH);
      high[place * width + token] = upper;
      low[place * width + token] = whole - HIGH * upper;
    }
    bias += sum * steps[token];
  }
  // The graph multiplies code + 128, which is unsigned.
  const constant = offsets - 128 * bias;
  return rough
    ? { kind: "int7", parts: { high }, steps, constant, width }
    : { kind: "int14", parts: { high, low }, steps, constant, width };
}

/** Copies a row of codes with 128 added to each, four at a time where rows allow it: that is flipping the top bits. */
function unsignedCopy(tokens, block, dim) {
  if (dim % 4 || tokens.byteOffset % 4) {
    return (row, to) => {
      for (let place = 0; place < dim; place++) block[to + place] = tokens[row + place] + 128;
    };
  }
  const from = new Uint32Array(tokens.buffer, tokens.byteOffset, tokens.length >> 2);
  const into = new Uint32Array(block.buffer);
  return (row, to) => {
    const shift = (row - to) >> 2;
    for (let place = to >> 2; place < (to + dim) >> 2; place++) into[place] = from[place + shift] ^ 0x80808080;
  };
}

/** Of each query token, what an integer counts in it. */
function stepsOf(query, grid, dim, rough) {
  const steps = new Float64Array(query.length / dim);
  for (let token = 0; token < steps.length; token++) {
    let widest = 0;
    for (let place = 0; place < dim; place++) {
      widest = Math.max(widest, Math.abs(query[token * dim + place] * grid.scale[place]));
    }
    steps[token] = (widest > 0 ? widest : 1) / (rough ? STEPS : STEPS * HIGH);
  }
  return steps;
}

/** As NumPy's rint. */
export function roundHalfEven(value) {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

/**
 * What a rough score may be off by, at most: rounding changes a query token by a vector that is known, and so its product
 * with a token by no more than the lengths of the two multiplied.
 * @param {Float32Array} query (query tokens x dim)
 * @param {Store} store of codes
 * @returns {number}
 */
export function roughError(query, { grid, dim, longest }) {
  const steps = stepsOf(query, grid, dim, true);
  let sum = 0;
  steps.forEach((step, token) => {
    let square = 0;
    for (let place = 0; place < dim; place++) {
      const scaled = query[token * dim + place] * grid.scale[place];
      square += (scaled - roundHalfEven(scaled / step) * step) ** 2;
    }
    sum += Math.sqrt(square);
  });
  return sum * longest * (1 + 1e-5);
}
