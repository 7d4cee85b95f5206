/** What can go wrong, as classes that callers can tell apart. Messages are whole sentences that name the cure. */

/** Base of all errors of this library. */
export class LateliteError extends Error {
  constructor(message, options) {
    super(message, options);
    this.name = this.constructor.name;
  }
}

/** A file of the collection is missing, truncated or changed. */
export class DamagedFileError extends LateliteError {}

/** A file could not be fetched: no network and not stored on this device, or the server refused. */
export class UnreachableError extends LateliteError {}

/** The collection was exported in a format that this library does not read. */
export class FormatError extends LateliteError {}

/** An argument of a search is wrong: an unknown operator, a mode that does not exist. */
export class QueryError extends LateliteError {}

const CLASSES = { LateliteError, DamagedFileError, UnreachableError, FormatError, QueryError };

/**
 * An error as data, for the way from a worker to the page.
 * @param {unknown} error
 * @returns {{name: string, message: string}}
 */
export function packed(error) {
  return error instanceof Error ? { name: error.name, message: error.message } : { name: "Error", message: String(error) };
}

/**
 * The error that was packed on the other side.
 * @param {{name: string, message: string}} data
 * @returns {Error}
 */
export function unpacked({ name, message }) {
  return new (CLASSES[name] ?? LateliteError)(message);
}
