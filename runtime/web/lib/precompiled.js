/**
 * SentencePiece's precompiled normalizer, to the letter of the tokenizers library that the model was trained with.
 *
 * The JavaScript package stands in for it with NFKC, which agrees on nearly all texts, but not on all: a line separator
 * or a Greek letter with two accents comes out otherwise, and the text then has other tokens than in Python.
 */

import { wellFormed } from "./text.js";

const WHOLE = 6;
const PRINTABLE = /^[\x20-\x7e]*$/;

/** What each sequence of bytes is replaced by: a double-array trie and the strings that it points to. */
export class CharacterMap {
  /** @param {string} encoded base64: the trie's size in bytes, the trie, strings that end with NUL */
  constructor(encoded) {
    const bytes = Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0));
    const size = new DataView(bytes.buffer).getUint32(0, true);
    this._trie = new Uint32Array(bytes.buffer.slice(4, 4 + size));
    this._strings = bytes.subarray(4 + size);
    this._segmenter = new Intl.Segmenter("und", { granularity: "grapheme" });
    this._plain = Array.from({ length: 95 }, (_, number) => String.fromCharCode(32 + number)).every(
      (character) => this._replacement(character) === null,
    );
  }

  /**
   * @param {string} text
   * @returns {string}
   */
  normalize(text) {
    if (this._plain && PRINTABLE.test(text)) return text;
    let normal = "";
    for (const { segment } of this._segmenter.segment(wellFormed(text))) {
      const whole = new TextEncoder().encode(segment).length < WHOLE ? this._replacement(segment) : null;
      if (whole !== null) normal += whole;
      else for (const character of segment) normal += this._replacement(character) ?? character;
    }
    return normal;
  }

  /** What stands for the shortest beginning of `part` that the map knows; null when it knows none. */
  _replacement(part) {
    let position = offset(this._trie[0]);
    for (const byte of new TextEncoder().encode(part)) {
      if (byte === 0) return null;
      position ^= byte;
      const unit = this._trie[position];
      if ((unit & 0x800000ff) >>> 0 !== byte) return null;
      position ^= offset(unit);
      if ((unit >>> 8) & 1) {
        const start = this._trie[position] & 0x7fffffff;
        return new TextDecoder().decode(this._strings.subarray(start, this._strings.indexOf(0, start)));
      }
    }
    return null;
  }
}

function offset(unit) {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}
