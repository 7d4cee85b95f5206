/** The arrays of an export as what a search reads. */

/**
 * A part of a collection, but for its vectors.
 * @param {import("./files.js").Files} files
 * @param {{quantised: boolean, longest: number, codebook: string | null}} described
 * @param {number} number
 * @param {Map<string, Promise<Uint8Array>>} codebooks those that are read already; parts share them
 * @returns {Promise<import("./lists.js").Part>}
 */
export async function openPart(files, { quantised, longest, codebook }, number, codebooks) {
  const { dim } = files.index.model.manifest;
  const name = `parts/${number}`;
  const [offsets, quantisation, lists] = await Promise.all([
    files.read(`${name}/offsets`),
    quantised ? files.read(`${name}/quantisation`) : null,
    codebook === null ? null : listsOf(files, name, codebook, codebooks),
  ]);
  let grid = null;
  if (quantisation !== null) {
    const values = new Float32Array(quantisation.buffer);
    grid = { offset: values.subarray(0, dim), scale: values.subarray(dim) };
  }
  const tokens = quantised ? new Int8Array(0) : new Float32Array(0);
  return { store: { tokens, offsets: new Uint32Array(offsets.buffer), grid, longest, dim }, lists };
}

async function listsOf(files, name, codebook, codebooks) {
  if (!codebooks.has(codebook)) {
    codebooks.set(codebook, Promise.all([files.read(`${codebook}/rows`), files.read(`${codebook}/steps`)]));
  }
  const arrays = ["members", "members_offsets", "tokens", "tokens_offsets", "postings", "postings_offsets"];
  const [[rows, steps], ...read] = await Promise.all([
    codebooks.get(codebook),
    ...arrays.map((array) => files.read(`${name}/lists/${array}`)),
  ]);
  const [members, membersOffsets, tokens, tokensOffsets, postings, postingsOffsets] = read.map(({ buffer }) => buffer);
  return {
    codebook: rows,
    steps: new Float32Array(steps.buffer),
    members: new Uint16Array(members),
    membersOffsets: new Uint32Array(membersOffsets),
    tokens: new Uint16Array(tokens),
    tokensOffsets: new Uint32Array(tokensOffsets),
    postings: new Uint32Array(postings),
    postingsOffsets: new Uint32Array(postingsOffsets),
  };
}

/**
 * The lexical postings of all documents.
 * @param {import("./files.js").Files} files
 * @returns {Promise<import("./lexical.js").Postings>}
 */
export async function postingsOf(files) {
  const arrays = ["terms", "counts", "documents", "frequencies", "lengths"];
  const [terms, counts, documents, frequencies, lengths] = await Promise.all(arrays.map((array) => files.read(`postings/${array}`)));
  const postings = {
    terms: summed(new Uint32Array(terms.buffer)),
    offsets: new Uint32Array(counts.length / 4 + 1),
    documents: new Int32Array(documents.buffer),
    frequencies,
    lengths: new Int32Array(lengths.buffer),
  };
  postings.offsets.set(summed(new Uint32Array(counts.buffer)), 1);
  for (let term = 0; term < postings.terms.length; term++) {
    summed(postings.documents.subarray(postings.offsets[term], postings.offsets[term + 1]));
  }
  return postings;
}

/**
 * Steps from one number to the next as the numbers themselves, in their place.
 * @template {Uint32Array | Int32Array} Numbers
 * @param {Numbers} steps
 * @returns {Numbers}
 */
function summed(steps) {
  for (let place = 1; place < steps.length; place++) steps[place] += steps[place - 1];
  return steps;
}

/**
 * How many documents lie within the first `tokens` tokens.
 * @param {Uint32Array} offsets (documents + 1)
 * @param {number} tokens
 * @returns {number}
 */
export function documentsWithin(offsets, tokens) {
  let low = 0;
  let high = offsets.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (offsets[middle] <= tokens) low = middle;
    else high = middle - 1;
  }
  return low;
}
