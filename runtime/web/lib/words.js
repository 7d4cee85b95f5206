/** Words of a text and their first letters, as `latelite.words` finds them in Python. */

import { casefold } from "./casefold.js";

const LETTERS = 5;
// Scripts that are written without spaces: the tokenizer's subwords stand for their texts.
const UNSPACED = "\\u0e00-\\u0eff\\u1000-\\u109f\\u1780-\\u17ff\\u3040-\\u30ff\\u3400-\\u9fff\\uf900-\\ufaff\\u{20000}-\\u{3ffff}";
const LETTER = `(?:(?![${UNSPACED}])[\\p{L}\\p{N}])`;
const MARK = `(?:(?![${UNSPACED}])\\p{M})`;
const WORD = new RegExp(`${LETTER}+(?:${MARK}+${LETTER}*)*`, "gu");
const ACCENTS = /[\u0300-\u036f]+/g;
const DIGIT = /\p{Nd}/u;

/** The terms of first letters are these and higher numbers, those of subwords lower ones. */
export const FIRST_LETTERS = 2 ** 31;

/** What stands in the text where a script without spaces does not. */
export const UNSPACED_CHARACTER = new RegExp(`[${UNSPACED}]`, "u");

/**
 * The terms of the words' first letters, and where the words stand.
 * @param {string} text well-formed
 * @returns {{ids: number[], spans: [number, number][]}} spans in UTF-16 units
 */
export function wordTerms(text) {
  const ids = [];
  /** @type {[number, number][]} */
  const spans = [];
  for (const { 0: word, index } of text.matchAll(WORD)) {
    ids.push((crc32(firstLetters(folded(word))) | 0x80000000) >>> 0);
    spans.push([index, index + word.length]);
  }
  return { ids, spans };
}

/**
 * A word without case and accents, and with each character as it usually is written.
 * @param {string} word
 * @returns {string}
 */
export function folded(word) {
  return casefold(word).normalize("NFKD").replace(ACCENTS, "").normalize("NFC");
}

function firstLetters(word) {
  const characters = [...word];
  return characters.length <= LETTERS || DIGIT.test(word) ? word : characters.slice(0, LETTERS).join("");
}

/** Of the UTF-8 of a text, as zlib's. */
function crc32(text) {
  let crc = -1;
  for (const byte of new TextEncoder().encode(text)) crc = TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return ~crc;
}

const TABLE = Int32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});
