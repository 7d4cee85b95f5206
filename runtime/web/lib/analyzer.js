/**
 * Text -> terms for lexical search, as `latelite.terms` does it in Python: the tokenizer's ids of the case-folded text, and
 * the first letters of its words.
 */

import { casefold } from "./casefold.js";
import { startsWithSpace, wellFormed } from "./text.js";
import { wordTerms } from "./words.js";

/** Turns texts into term ids. */
export class Analyzer {
  /**
   * @param {{encode: Function}} tokenizer of @huggingface/tokenizers
   * @param {any} description the content of tokenizer.json
   * @param {any} tokenIds of the bundle's manifest; prefixes and padding are no terms
   */
  constructor(tokenizer, description, tokenIds) {
    this._tokenizer = tokenizer;
    const excluded = description.added_tokens.filter((token) => token.special).map((token) => token.id);
    const unknown = unknownId(description);
    this._excluded = new Set([
      ...excluded,
      ...[tokenIds.query_prefix, tokenIds.document_prefix, unknown].filter((id) => id !== null),
      tokenIds.padding,
      ...this._ids(" "), // white space by itself
    ]);
    // Byte-level vocabularies have one id for a word at the very start of a text and another for it elsewhere.
    const twice = (ids) => [...ids, ...ids].join();
    const consistent = this._ids("x x").join() === twice(this._ids("x"));
    this._lead = !consistent && this._ids(" x x").join() === twice(this._ids(" x")) ? " " : "";
  }

  /**
   * Ids of the text's terms with repeats: the subwords in the order of the text, then the words.
   * @param {string} text
   * @returns {number[]}
   */
  ids(text) {
    const subwords = this._ids(this._prepared(text)).filter((id) => !this._excluded.has(id));
    return [...subwords, ...wordTerms(wellFormed(text)).ids];
  }

  /**
   * The terms of a text with their places in it.
   * @param {string} text
   * @param {import("./spans.js").Locator} locator
   * @returns {{ids: number[], spans: [number, number][]}}
   */
  terms(text, locator) {
    const { ids, tokens } = this._tokenizer.encode(this._prepared(text), { add_special_tokens: false });
    const spans = locator.spans(text, tokens);
    const kept = (_, place) => !this._excluded.has(ids[place]);
    return withWords({ ids: ids.filter(kept), spans: spans.filter(kept) }, text);
  }

  _prepared(text) {
    const folded = casefold(wellFormed(text));
    return startsWithSpace(folded) ? folded : this._lead + folded;
  }

  /** @returns {number[]} */
  _ids(text) {
    return this._tokenizer.encode(text, { add_special_tokens: false }).ids;
  }
}

/**
 * The subwords of a text, and its words.
 * @param {{ids: ArrayLike<number>, spans: [number, number][]}} subwords
 * @param {string} text
 * @returns {{ids: number[], spans: [number, number][]}}
 */
export function withWords(subwords, text) {
  const { ids, spans } = wordTerms(wellFormed(text));
  return { ids: [...Array.from(subwords.ids), ...ids], spans: [...subwords.spans, ...spans] };
}

/** @returns {number | null} */
function unknownId({ model, added_tokens }) {
  const token = model.unk_token ?? null;
  if (token === null) return model.unk_id ?? null;
  const added = added_tokens.find((each) => each.content === token);
  return added?.id ?? model.vocab[token] ?? null;
}
