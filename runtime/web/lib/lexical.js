/** Lexical search: BM25 as a share of its upper bound, with the numbers of `latelite.lexical` in Python. */

const COMMON = 0.25;
const SOME = 32;
const f32 = Math.fround;

/**
 * Which documents have a term, and how often: compressed sparse rows over the terms that occur.
 * @typedef {object} Postings
 * @property {Uint32Array} terms (terms) ascending: those that a document has
 * @property {Uint32Array} offsets (terms + 1)
 * @property {Int32Array} documents (postings)
 * @property {Uint8Array} frequencies (postings) 255 means that many or more
 * @property {Int32Array} lengths (documents) terms of each, repeats included
 */

/** Scores all documents of a collection. */
export class BM25 {
  /**
   * @param {Postings} postings
   * @param {{k1: number, b: number}} parameters as exported
   */
  constructor(postings, { k1, b }) {
    this._postings = postings;
    const total = postings.lengths.reduce((sum, length) => sum + length, 0);
    const mean = total ? total / postings.lengths.length : 1;
    this._norms = Float32Array.from(postings.lengths, (length) => k1 * (1 - b + (b / mean) * length));
  }

  /**
   * Score every document.
   * @param {number[]} terms ids, with repeats
   * @returns {Float32Array} (documents) between 0 and 1; 0 for documents that share no term with the query
   */
  score(terms) {
    const { documents, frequencies, lengths } = this._postings;
    const scores = new Float32Array(lengths.length);
    const counts = new Map();
    for (const term of [...terms].sort((a, b) => a - b)) counts.set(term, (counts.get(term) ?? 0) + 1);
    const weights = [...counts].map(([term, count]) => count * this.idf(term));
    const bound = weights.reduce((sum, weight) => sum + weight, 0);
    [...counts.keys()].forEach((term, number) => {
      // Rounded where NumPy rounds: products and sums are float32 there.
      const weight = f32(weights[number] / bound);
      const [start, stop] = this._range(term);
      for (let place = start; place < stop; place++) {
        const document = documents[place];
        const frequency = frequencies[place];
        const share = f32(f32(weight * frequency) / f32(frequency + this._norms[document]));
        scores[document] += share;
      }
    });
    return scores;
  }

  /**
   * Which terms more than a quarter of the documents have, where there are some documents.
   * @param {number[]} terms
   * @returns {boolean[]}
   */
  areCommon(terms) {
    const { lengths } = this._postings;
    return terms.map((term) => lengths.length >= SOME && this._found(term) > COMMON * lengths.length);
  }

  /**
   * Inverse document frequency.
   * @param {number} term
   * @returns {number}
   */
  idf(term) {
    const { lengths } = this._postings;
    const found = this._found(term);
    return Math.log1p((lengths.length - found + 0.5) / (found + 0.5));
  }

  /** How many documents have a term. */
  _found(term) {
    const [start, stop] = this._range(term);
    return stop - start;
  }

  /** Where the documents of a term begin and end; nothing lies between for one that none has. */
  _range(term) {
    const { terms, offsets } = this._postings;
    let low = 0;
    let high = terms.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (terms[middle] < term) low = middle + 1;
      else high = middle;
    }
    return terms[low] === term ? [offsets[low], offsets[low + 1]] : [0, 0];
  }
}

/**
 * The documents, ascending, that are among the `n` best; ties go to the earlier ones. Those that score 0 are none.
 * @param {Float32Array} scores (documents)
 * @param {Uint8Array | null} allowed (documents) 1 where a document may be returned; null allows all
 * @param {number} n
 * @returns {Int32Array}
 */
export function best(scores, allowed, n) {
  const kept = [];
  for (let number = 0; number < scores.length; number++) {
    if (scores[number] !== 0 && (allowed === null || allowed[number])) kept.push(number);
  }
  if (kept.length <= n) return Int32Array.from(kept);
  kept.sort((a, b) => scores[b] - scores[a] || a - b);
  return Int32Array.from(kept.slice(0, n)).sort();
}
