/** Text -> ids, as `latelite.tokenization` does it in Python. */

import { strip, wellFormed } from "./text.js";

/**
 * One text, ready for the encoder.
 * @typedef {object} Tokens
 * @property {number[]} ids
 * @property {number[]} attention 1 where the encoder attends, 0 on expansion tokens that it does not attend to
 * @property {boolean[]} keep true where the token's vector is part of the result
 */

/** Turns texts into {@link Tokens}. */
export class Tokenization {
  /**
   * @param {{encode: Function}} tokenizer of @huggingface/tokenizers
   * @param {any} manifest of the bundle
   */
  constructor(tokenizer, manifest) {
    this._tokenizer = tokenizer;
    this._settings = manifest.settings;
    this._tokenIds = manifest.token_ids;
    this._skiplist = new Set(manifest.token_ids.skiplist);
    const bare = this._ids("x");
    const whole = tokenizer.encode("x", { add_special_tokens: true }).ids;
    const lead = whole.findIndex((_, place) => bare.every((id, number) => whole[place + number] === id));
    /** Special tokens before and after every text. */
    this._before = whole.slice(0, lead);
    this._after = whole.slice(lead + bare.length);
  }

  /**
   * Ids of a query; padded to `query_length` with the expansion token when expansion is on.
   * @param {string} text
   * @returns {Tokens}
   */
  query(text) {
    const { query_length, do_query_expansion, attend_to_expansion_tokens } = this._settings;
    const ids = this._encoded(text, query_length, this._tokenIds.query_prefix);
    const attention = ids.map(() => 1);
    while (do_query_expansion && ids.length < query_length) {
      ids.push(this._tokenIds.padding);
      attention.push(attend_to_expansion_tokens ? 1 : 0);
    }
    return { ids, attention, keep: ids.map(() => true) };
  }

  /**
   * Ids of a document; tokens of the skiplist are encoded but not kept.
   * @param {string} text
   * @returns {Tokens}
   */
  document(text) {
    const ids = this._encoded(text, this._settings.document_length, this._tokenIds.document_prefix);
    return { ids, attention: ids.map(() => 1), keep: ids.map((id) => !this._skiplist.has(id)) };
  }

  /**
   * Where the tokens of {@link query} stand in the text.
   * @param {string} text
   * @param {import("./spans.js").Locator} locator
   * @returns {[number, number][]} UTF-16 units, first and one past the last; [-1, -1] for tokens that are no part of it
   */
  querySpans(text, locator) {
    const nowhere = () => /** @type {[number, number]} */ ([-1, -1]);
    const { query_prefix } = this._tokenIds;
    const length = this.query(text).ids.length;
    const room = this._room(this._settings.query_length, query_prefix);
    const { tokens } = this._tokenizer.encode(this._prepared(text), { add_special_tokens: false });
    const spans = [...this._before.map(nowhere), ...locator.spans(text, tokens.slice(0, room)), ...this._after.map(nowhere)];
    if (query_prefix !== null) spans.splice(1, 0, nowhere());
    while (spans.length < length) spans.push(nowhere()); // expansion tokens
    return spans;
  }

  /** @returns {number[]} */
  _ids(text) {
    return this._tokenizer.encode(text, { add_special_tokens: false }).ids;
  }

  /** @returns {number[]} */
  _encoded(text, length, prefix) {
    if (typeof text !== "string") throw new TypeError(`texts must be strings, not ${typeof text}.`);
    const room = this._room(length, prefix);
    const ids = [...this._before, ...this._ids(this._prepared(text)).slice(0, room), ...this._after];
    if (prefix !== null) ids.splice(1, 0, prefix);
    return ids;
  }

  /** Tokens that a text may have: it is cut before the special tokens are added, so that the closing one survives. */
  _room(length, prefix) {
    return length - this._before.length - this._after.length - (prefix === null ? 0 : 1);
  }

  _prepared(text) {
    text = wellFormed(text);
    if (this._settings.strip) text = strip(text);
    return this._settings.do_lower_case ? text.toLowerCase() : text;
  }
}
