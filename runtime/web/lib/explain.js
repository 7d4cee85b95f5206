/**
 * Why a document was found: which of its parts match which words of the query, as `latelite.explain` says it in Python.
 *
 * Where the tokens and terms of the documents stand was written down at export; those of the query are found here.
 */

import { isSpace, NOT_SPACE } from "./text.js";
import { Locator } from "./spans.js";
import { FIRST_LETTERS, folded, UNSPACED_CHARACTER } from "./words.js";

const OCCURRENCES = 8;
// Of the characters of a word: what has no more in common is not the same word. Fewer than TELLING must be most of it.
const MOST = 0.5;
const TELLING = 4;
const PUNCTUATION = /^\p{P}*$/u;
const AROUND = "!\"'(),.:;?[]{}¿¡«»„“”‚‘’…。、？！：；（）「」";
const JOINER = "\u200d";

/** @typedef {[number, number]} Span first UTF-16 unit and one past the last; [-1, -1] for what is no part of the text */

/** Explains hits. */
export class Explainer {
  /** @param {any} parts of the collection: description of the tokenizer, tokenization, analyzer, ranking, dim */
  constructor({ description, tokenization, analyzer, ranking, dim }) {
    this._locator = new Locator(description);
    this._tokenization = tokenization;
    this._analyzer = analyzer;
    this._ranking = ranking;
    this._dim = dim;
  }

  /**
   * A query, ready to explain documents.
   * @param {string} text
   * @param {string} prompt that was put in front of it
   * @param {Float32Array} vectors (query tokens x dim)
   */
  question(text, prompt, vectors) {
    const spans = this._tokenization.querySpans(prompt + text, this._locator).map(([start, end]) => {
      return start < prompt.length ? [-1, -1] : [start - prompt.length, end - prompt.length];
    });
    const terms = this._analyzer.terms(text, this._locator);
    const common = this._ranking.areCommon(terms.ids);
    return { text, spans, terms, common, vectors: normalised(vectors, this._dim), words: wordsOf(text, spans, terms, common) };
  }

  /**
   * The parts of a document that match, in the order of the text.
   * @param {ReturnType<Explainer["question"]>} question
   * @param {{text: string, vectors: Float32Array, spans: Span[], clusters: ArrayLike<number>, terms: {ids: ArrayLike<number>, spans: Span[]}}} answer
   * @returns {import("./collection.js").Match[]}
   */
  matches(question, answer) {
    const best = new Map();
    const stored = normalised(answer.vectors, this._dim);
    this._semantic(question, answer, stored, best);
    this._lexical(question, answer, stored, best);
    const matches = [...best.values()].map(({ word, start, end, score }) => ({
      query: stripped(question.text.slice(...question.words[word])),
      start,
      end,
      score: Math.round(Math.min(score, 1) * 1e6) / 1e6,
    }));
    return matches.sort((a, b) => a.start - b.start || a.end - b.end || b.score - a.score || (a.query < b.query ? -1 : 1));
  }

  /** Where the tokens that MaxSim chose stand. */
  _semantic(question, answer, stored, best) {
    if (!stored.length) return;
    const owners = ownersOf(question.spans, question.words);
    owners.forEach((word, token) => {
      if (word < 0) return;
      let nearest = 0;
      let cosine = -Infinity;
      for (let row = 0; row < stored.length; row++) {
        const product = dot(question.vectors[token], stored[row]);
        if (product > cosine) [nearest, cosine] = [row, product];
      }
      answer.spans.forEach((span, member) => {
        if (answer.clusters[member] !== nearest) return;
        const widened = wordAround(answer.text, ...span);
        if (widened === null) return;
        const key = [word, ...widened].join();
        if (!(best.get(key)?.score >= cosine)) best.set(key, { word, start: widened[0], end: widened[1], score: cosine });
      });
    });
  }

  /** Where the document has the subwords of a word, most of them side by side, or a word that begins alike. */
  _lexical(question, answer, stored, best) {
    const owners = ownersOf(question.terms.spans, question.words);
    const read = answer.spans.reduce((most, [, end]) => Math.max(most, end), 0);
    question.words.forEach((word, number) => {
      /** @type {Map<number, Span>} */
      const asked = new Map();
      question.terms.ids.forEach((term, place) => {
        if (owners[place] === number) asked.set(term, question.terms.spans[place]);
      });
      const shares = subwordShares(asked, answer.terms);
      for (const { span, share } of wordShares(question.text, asked, answer.text, answer.terms)) {
        const known = shares.get(span.join());
        shares.set(span.join(), { span, share: Math.max(share, known?.share ?? 0) });
      }
      let shown = 0;
      for (const { span: [start, end], share } of [...shares.values()].sort((a, b) => a.span[0] - b.span[0] || a.span[1] - b.span[1])) {
        const span = wordAround(answer.text, start, end);
        if (share <= MOST || span === null) continue;
        const key = [number, ...span].join();
        if (best.has(key)) continue;
        if (end - start < TELLING && end - start <= MOST * (span[1] - span[0])) continue; // "ab" of "abroad"
        const score = span[0] >= read ? share : nearestCosine(question, answer, stored, word, span);
        best.set(key, { word: number, start: span[0], end: span[1], score });
        if (++shown === OCCURRENCES) break;
      }
    });
  }
}

/**
 * Where subwords of a word stand side by side, and which share of its characters they are.
 * @returns {Map<string, {span: Span, share: number}>} by the span
 */
function subwordShares(asked, { ids, spans }) {
  const lengths = new Map([...asked].filter(([term]) => term < FIRST_LETTERS).map(([term, [start, end]]) => [term, end - start]));
  const whole = Math.max([...lengths.values()].reduce((sum, length) => sum + length, 0), 1);
  const shares = new Map();
  for (const run of runsOf(ids, spans, lengths)) {
    const share = [...new Set(run.map((place) => ids[place]))].reduce((sum, term) => sum + lengths.get(term), 0) / whole;
    /** @type {Span} */
    const span = [spans[run[0]][0], spans[run.at(-1)][1]];
    shares.set(span.join(), { span, share });
  }
  return shares;
}

/** Where words begin as those of a word of the query do, and which share of its characters they have in common. */
function wordShares(query, asked, text, { ids, spans }) {
  const shares = [];
  for (let place = 0; place < ids.length; place++) {
    if (ids[place] < FIRST_LETTERS || !asked.has(ids[place])) continue;
    const one = [...folded(query.slice(...asked.get(ids[place])))];
    const other = [...folded(text.slice(...spans[place]))];
    let alike = 0;
    while (alike < Math.min(one.length, other.length) && one[alike] === other[alike]) alike++;
    shares.push({ span: spans[place], share: alike / Math.max(one.length, 1) });
  }
  return shares;
}

/** Places of the wanted terms, those that stand side by side together. */
function runsOf(ids, spans, wanted) {
  const runs = [];
  for (let place = 0; place < ids.length; place++) {
    if (!wanted.has(ids[place])) continue;
    const last = runs.at(-1)?.at(-1);
    if (last === place - 1 && spans[place][0] === spans[last][1]) runs.at(-1).push(place);
    else runs.push([place]);
  }
  return runs;
}

/** Spans of the words that say something: neither punctuation nor common, unless there are no others. */
function wordsOf(text, spans, terms, common) {
  const words = [];
  for (const { 0: run, index } of text.matchAll(NOT_SPACE)) {
    const end = index + run.length;
    if (!UNSPACED_CHARACTER.test(run)) {
      words.push([index, end]);
      continue;
    }
    const inside = new Map(spans.filter(([from, to]) => index <= from && from < to && to <= end).map((span) => [span.join(), span]));
    words.push(...[...inside.values()].sort((a, b) => a[0] - b[0] || a[1] - b[1]));
  }
  const telling = words.filter((word) => !PUNCTUATION.test(text.slice(...word)));
  const owners = ownersOf(terms.spans, telling);
  const rare = telling.filter((_, number) => {
    const own = owners.flatMap((owner, place) => (owner === number ? [common[place]] : []));
    return !own.length || !own.every(Boolean);
  });
  return rare.length ? rare : telling;
}

/** Which word each token belongs to: the one that its last character is in; -1 for none. */
function ownersOf(spans, words) {
  return spans.map(([start, end]) => {
    if (start < 0) return -1;
    let place = -1;
    while (place + 1 < words.length && words[place + 1][0] <= end - 1) place++;
    return place < 0 || start >= words[place][1] ? -1 : place;
  });
}

/** Cosine of the nearest pair of tokens of a word and of a part of the document. */
function nearestCosine(question, answer, stored, word, span) {
  const within = (spans, [start, end]) => spans.flatMap(([from, to], place) => (from >= 0 && from < end && to > start ? [place] : []));
  const asked = within(question.spans, word);
  const found = [...new Set(within(answer.spans, span).map((place) => answer.clusters[place]))];
  if (!asked.length || !found.length) return 1; // tokens of the skiplist have no vectors
  return Math.max(...asked.flatMap((token) => found.map((row) => dot(question.vectors[token], stored[row]))));
}

/** A span without white space at its ends, and to the ends of the word that it is in; null if nothing is left. */
function wordAround(text, start, end) {
  if (start < 0) return null;
  while (start < end && isSpace(text[start])) start++;
  while (end > start && isSpace(text[end - 1])) end--;
  if (start === end) return null;
  for (let before = characterBefore(text, start); before && holdTogether(before, characterAt(text, start)); ) {
    start -= before.length;
    before = characterBefore(text, start);
  }
  for (let after = characterAt(text, end); after && holdTogether(characterBefore(text, end), after); ) {
    end += after.length;
    after = characterAt(text, end);
  }
  return [start, end];
}

function characterAt(text, place) {
  return place < text.length ? String.fromCodePoint(text.codePointAt(place)) : "";
}

function characterBefore(text, place) {
  const low = text.charCodeAt(place - 1);
  const isPair = place > 1 && low >= 0xdc00 && low <= 0xdfff && text.codePointAt(place - 2) > 0xffff;
  return place > 0 ? text.slice(place - (isPair ? 2 : 1), place) : "";
}

/** Whether two neighbouring characters belong to one word, or to one character as people see it. */
function holdTogether(one, other) {
  if (isMark(other) || one === JOINER || other === JOINER) return true;
  return isLetter(one) && isLetter(other);
}

function isMark(character) {
  return /^[\p{M}\u{1f3fb}-\u{1f3ff}]$/u.test(character);
}

function isLetter(character) {
  return !UNSPACED_CHARACTER.test(character) && (/^[\p{L}\p{N}_]$/u.test(character) || isMark(character));
}

/** A word of the query without the punctuation around it, unless there is nothing else. */
function stripped(word) {
  let start = 0;
  let end = word.length;
  while (start < end && AROUND.includes(word[start])) start++;
  while (end > start && AROUND.includes(word[end - 1])) end--;
  return word.slice(start, end) || word;
}

/** @returns {Float32Array[]} rows of unit length */
function normalised(vectors, dim) {
  return Array.from({ length: vectors.length / dim }, (_, row) => {
    const vector = vectors.slice(row * dim, (row + 1) * dim);
    const length = Math.max(Math.sqrt(dot(vector, vector)), 1e-12);
    return vector.map((component) => component / length);
  });
}

function dot(one, other) {
  let sum = 0;
  for (let place = 0; place < one.length; place++) sum += one[place] * other[place];
  return sum;
}
