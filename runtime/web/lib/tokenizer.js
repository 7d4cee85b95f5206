/** The tokenizer of a bundle: the JavaScript package, corrected where it differs from the library in Python. */

import { CharacterMap } from "./precompiled.js";

/**
 * @param {any} Tokenizer the class of @huggingface/tokenizers
 * @param {any} description the content of tokenizer.json
 * @returns {{encode: (text: string, options: {add_special_tokens: boolean}) => {ids: number[], tokens: string[]}}}
 */
export function openTokenizer(Tokenizer, description) {
  const tokenizer = new Tokenizer(description, {});
  correctNormalizer(tokenizer.normalizer, description.normalizer);
  correctPreTokenizer(tokenizer.pre_tokenizer, description.pre_tokenizer);
  return tokenizer;
}

// The package takes NFKC for SentencePiece's character map, which is not quite the same.
function correctNormalizer(normalizer, description) {
  const { type, precompiled_charsmap, normalizers } = description ?? {};
  if (type === "Precompiled" && precompiled_charsmap) {
    const map = new CharacterMap(precompiled_charsmap);
    normalizer.normalize = (text) => map.normalize(text);
  }
  normalizers?.forEach((part, number) => correctNormalizer(normalizer.normalizers[number], part));
}

// \s of JavaScript has U+FEFF, which is no white space in Unicode, and lacks U+0085, which is.
function correctPreTokenizer(preTokenizer, description) {
  const { type, pretokenizers } = description ?? {};
  if (type === "WhitespaceSplit") {
    preTokenizer.pre_tokenize_text = (text) => text.match(/[^\p{White_Space}]+/gu) ?? [];
  }
  pretokenizers?.forEach((part, number) => correctPreTokenizer(preTokenizer.tokenizers[number], part));
}
