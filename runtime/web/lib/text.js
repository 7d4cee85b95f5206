/** Texts as Python treats them, so that the same text gives the same tokens on both sides. */

// What Python's str.isspace calls white space. JavaScript's trim knows U+FEFF as well, and not U+001C to U+001F or U+0085.
const SPACE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const AROUND = new RegExp(`^[${SPACE}]+|[${SPACE}]+$`, "g");
const STARTS_WITH_SPACE = new RegExp(`^[${SPACE}]`);

/** Runs of what is no white space. */
export const NOT_SPACE = new RegExp(`[^${SPACE}]+`, "g");
const LONE_SURROGATE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/**
 * Python's `str.strip()`.
 * @param {string} text
 * @returns {string}
 */
export function strip(text) {
  return text.replace(AROUND, "");
}

/**
 * Whether the first character is white space to Python.
 * @param {string} text
 * @returns {boolean}
 */
export function startsWithSpace(text) {
  return STARTS_WITH_SPACE.test(text);
}

/**
 * Whether a character is white space to Python.
 * @param {string} character
 * @returns {boolean}
 */
export const isSpace = startsWithSpace;

/**
 * The text with unpaired surrogates replaced by U+FFFD: tokenizers know whole characters only.
 * @param {string} text
 * @returns {string}
 */
export function wellFormed(text) {
  return text.replace(LONE_SURROGATE, "\ufffd");
}
