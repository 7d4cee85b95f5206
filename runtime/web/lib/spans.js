/**
 * Where the tokens of a query stand in it. The JavaScript tokenizer does not tell; but tokens come in the order of the
 * text, so each is looked for behind the one before, without regard to case, accents and white space.
 */

import { foldedCharacter } from "./casefold.js";

const LOOK_AHEAD = 64;

/** Finds tokens in texts. */
export class Locator {
  /** @param {any} description the content of tokenizer.json */
  constructor(description) {
    this._bytes = JSON.stringify([description.pre_tokenizer, description.decoder]).includes("ByteLevel") ? bytesOfCharacters() : null;
    this._unknown = new Set([description.model.unk_token, description.model.vocab?.[description.model.unk_id]?.[0], "<unk>", "[UNK]"]);
  }

  /**
   * @param {string} text as written
   * @param {string[]} tokens of the text, perhaps after it was stripped, lower-cased or case-folded
   * @returns {[number, number][]} of each token the first UTF-16 unit and one past the last; [-1, -1] where it is nowhere
   */
  spans(text, tokens) {
    const { keys, places } = keysOf(text);
    let cursor = 0;
    let pending = [];
    return tokens.map((token) => {
      let written = token;
      if (this._bytes) {
        pending = [...pending, ...[...token].map((character) => this._bytes.get(character) ?? 63)];
        written = decoded(pending);
        // Part of a character: it is wholly there with a later token.
        if (written === null) return cursor < places.length ? places[cursor] : [-1, -1];
        pending = [];
      }
      const wanted = keysOf(written.replaceAll("\u2581", " ").replace(/^##/, "")).keys;
      if (!wanted || this._unknown.has(token)) return cursor < places.length && this._unknown.has(token) ? places[cursor++] : [-1, -1];
      const found = keys.indexOf(wanted, cursor);
      if (found < 0 || found > cursor + LOOK_AHEAD) return [-1, -1];
      cursor = found + wanted.length;
      return [places[found][0], places[cursor - 1][1]];
    });
  }
}

/** The text's characters without case, accents and white space, and where each stands. */
function keysOf(text) {
  let keys = "";
  /** @type {[number, number][]} */
  const places = [];
  let unit = 0;
  for (const character of text) {
    const plain = [...character.normalize("NFKD")].map(foldedCharacter).join("").normalize("NFKD");
    for (const key of plain.replace(/[\p{M}\s]/gu, "")) {
      keys += key;
      for (let each = 0; each < key.length; each++) places.push([unit, unit + character.length]);
    }
    unit += character.length;
  }
  return { keys, places };
}

function decoded(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(bytes));
  } catch {
    return null;
  }
}

/** Byte-level vocabularies write bytes as characters: printable ones as they are, the others from U+0100 on. */
function bytesOfCharacters() {
  const known = new Map();
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    known.set(String.fromCodePoint(printable ? byte : next++), byte);
  }
  return known;
}
