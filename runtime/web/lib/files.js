/**
 * The files of an exported collection: fetched or read, checked, inflated, and kept on the device.
 *
 * Everything but the index is stored gzipped in parts of a few megabytes whose names contain their checksum: a new
 * export never mixes with an old one, and what did not change is not fetched again. In a browser the parts are kept in
 * Cache storage, which exists on https and localhost only; elsewhere they are fetched at every visit.
 */

import { DamagedFileError, FormatError, UnreachableError } from "./errors.js";

export const INDEX_NAME = "collection.json";
const FORMAT = "latelite-web";
const FORMAT_VERSION = 2;
const CACHE_NAME = "latelite-collections";
const AT_ONCE = 4;

/**
 * One stored part of a file.
 * @typedef {object} Part
 * @property {string} file path below the collection's folder
 * @property {number} bytes when inflated
 * @property {number} stored bytes as stored
 * @property {string} sha256 of what is stored, hexadecimal
 * @property {number} crc32 of what is inflated
 */

/** Reads the files of one collection. */
export class Files {
  /**
   * @param {string} location URL of the folder, or in Node a path
   * @param {{onBytes?: (bytes: number) => void}} [options] onBytes: told how many stored bytes have come
   */
  constructor(location, { onBytes = () => {} } = {}) {
    this._source = isUrl(location) ? new WebSource(location) : new FolderSource(location);
    this._onBytes = onBytes;
    this._queue = new Lanes(AT_ONCE);
    /** @type {any} */
    this.index = null;
  }

  /**
   * The description of the collection; to be read first.
   * @returns {Promise<any>}
   */
  async open() {
    const bytes = await this._source.index();
    let index;
    try {
      index = JSON.parse(new TextDecoder().decode(bytes));
    } catch (error) {
      throw new DamagedFileError(`${this._source.name(INDEX_NAME)} is no JSON: ${error.message}. Put the export up again, whole.`);
    }
    if (index?.format !== FORMAT) {
      throw new FormatError(`${this._source.name(INDEX_NAME)} does not describe a collection that latelite exported for the web.`);
    }
    if (index.format_version !== FORMAT_VERSION) {
      throw new FormatError(
        `${this._source.name(INDEX_NAME)} has format version ${index.format_version}, this library reads ${FORMAT_VERSION}; ` +
          "export the collection again, or take the latelite.js that lies beside it.",
      );
    }
    this.index = index;
    return index;
  }

  /**
   * A whole file, its parts joined.
   * @param {string} name
   * @param {(bytes: number, whole: Uint8Array) => void} [onPrefix] told how many bytes from the beginning are there
   * @returns {Promise<Uint8Array>}
   */
  async read(name, onPrefix = () => {}) {
    const { bytes, parts } = this._entry(name);
    const whole = new Uint8Array(bytes);
    const starts = [];
    parts.reduce((start, part) => (starts.push(start), start + part.bytes), 0);
    const there = parts.map(() => false);
    let prefix = 0;
    await Promise.all(
      parts.map(async (part, number) => {
        whole.set(await this.part(part), starts[number]);
        there[number] = true;
        while (there[prefix]) prefix++;
        onPrefix(prefix === parts.length ? bytes : starts[prefix], whole);
      }),
    );
    return whole;
  }

  /**
   * The content of one part.
   * @param {Part} part
   * @param {{isAwaited?: boolean}} [options] isAwaited: whether `onBytes` is told
   * @returns {Promise<Uint8Array>}
   */
  part(part, { isAwaited = true } = {}) {
    return this._queue.run(async () => {
      const stored = await this._stored(part);
      if (isAwaited) this._onBytes(part.stored);
      return inflated(stored, part.bytes, this._source.name(part.file));
    });
  }

  /**
   * The parts of a file, for those that are read one by one.
   * @param {string} name
   * @returns {(Part & {documents?: number})[]}
   */
  parts(name) {
    return this._entry(name).parts;
  }

  /**
   * Fetch everything that is not on the device yet, and forget what belongs to an older export.
   * @returns {Promise<boolean>} whether the collection can now be opened without a network
   */
  async keep() {
    const parts = Object.values(this.index.files).flatMap((entry) => entry.parts);
    if (!this._source.keeps) return this._source.offline;
    for (const part of parts) {
      if (!(await this._source.has(part.file))) await this._queue.run(() => this._stored(part));
    }
    return this._source.settle(new Set(parts.map((part) => part.file)));
  }

  /** @returns {Promise<Uint8Array<ArrayBuffer>>} */
  async _stored(part) {
    const kept = await this._source.kept(part.file);
    if (kept !== null && (await problem(kept, part)) === null) return kept;
    const fetched = await this._source.read(part.file, false);
    let wrong = await problem(fetched, part);
    if (wrong === null) return this._source.keep(part.file, fetched);
    // Perhaps what lies between, such as the browser's cache, is to blame.
    const again = await this._source.read(part.file, true);
    wrong = await problem(again, part);
    if (wrong !== null) {
      throw new DamagedFileError(`${this._source.name(part.file)} ${wrong}. Put the export up again, whole.`);
    }
    return this._source.keep(part.file, again);
  }

  _entry(name) {
    const entry = this.index.files[name];
    if (entry === undefined) throw new DamagedFileError(`${this._source.name(INDEX_NAME)} does not name ${name}. Export again.`);
    return entry;
  }
}

/** What is wrong with the stored bytes of a part, or null. */
async function problem(stored, part) {
  const number = new Intl.NumberFormat("en");
  if (stored.length !== part.stored) {
    return `is damaged: it has ${number.format(stored.length)} bytes instead of ${number.format(part.stored)}`;
  }
  if (globalThis.crypto?.subtle) {
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", stored));
    const hexadecimal = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    return hexadecimal === part.sha256 ? null : "is damaged: it does not match its checksum";
  }
  // Without https there is no SHA-256. gzip keeps a checksum of the content, which inflating compares.
  const trailer = new DataView(stored.buffer, stored.byteOffset + stored.length - 8);
  return trailer.getUint32(0, true) === part.crc32 ? null : "is damaged: it does not match its checksum";
}

async function inflated(stored, bytes, name) {
  let content;
  try {
    const stream = new Blob([stored]).stream().pipeThrough(new DecompressionStream("gzip"));
    content = new Uint8Array(await new Response(stream).arrayBuffer());
  } catch (error) {
    throw new DamagedFileError(`${name} cannot be inflated: ${error.message}. Put the export up again, whole.`);
  }
  if (content.length !== bytes) throw new DamagedFileError(`${name} inflates to ${content.length} bytes instead of ${bytes}.`);
  return content;
}

/** @param {string} location */
function isUrl(location) {
  return "document" in globalThis || "WorkerGlobalScope" in globalThis || /^https?:/.test(location);
}

/** Files behind a URL. */
class WebSource {
  constructor(location) {
    const base = globalThis.location?.href;
    const url = new URL(location, base);
    if (url.protocol === "file:") {
      throw new UnreachableError(
        "Browsers do not let a page read files beside it. Serve the folder, for instance with `python -m http.server`.",
      );
    }
    this._folder = new URL(url.pathname.endsWith("/") || url.pathname.endsWith(".html") ? "." : `${url.pathname}/`, url);
    this.keeps = typeof caches !== "undefined";
    this.offline = false;
  }

  name(file) {
    return new URL(file, this._folder).href;
  }

  /** The index as it is now, or when there is no network the one that was kept. */
  async index() {
    const url = this.name(INDEX_NAME);
    try {
      const bytes = await this.read(INDEX_NAME, false, "no-cache");
      this._index = bytes;
      return bytes;
    } catch (error) {
      const kept = await this.kept(INDEX_NAME);
      if (kept === null) throw error;
      this._index = kept;
      return kept;
    }
  }

  /**
   * @param {string} file
   * @param {boolean} again whether to go around the browser's cache
   * @param {RequestCache} [cache]
   */
  async read(file, again, cache = again ? "reload" : "default") {
    const url = this.name(file);
    let response;
    try {
      response = await fetch(url, { cache });
    } catch (error) {
      throw new UnreachableError(`${url} cannot be fetched, and is not kept on this device: ${error.message}.`, { cause: error });
    }
    if (!response.ok) {
      throw new UnreachableError(`${url} cannot be fetched: the server answers ${response.status}. Put the export up again, whole.`);
    }
    return new Uint8Array(await response.arrayBuffer());
  }

  async kept(file) {
    if (!this.keeps) return null;
    const response = await (await caches.open(CACHE_NAME)).match(this.name(file));
    return response ? new Uint8Array(await response.arrayBuffer()) : null;
  }

  async has(file) {
    return (await (await caches.open(CACHE_NAME)).match(this.name(file))) !== undefined;
  }

  async keep(file, bytes) {
    if (this.keeps) {
      try {
        await (await caches.open(CACHE_NAME)).put(this.name(file), new Response(bytes));
      } catch {
        this.keeps = false; // No room, or not allowed: the page works, with a network.
      }
    }
    return bytes;
  }

  /** All `files` are kept: keep the index, too, and drop what is not needed any more. */
  async settle(files) {
    if (!this.keeps) return false;
    await this.keep(INDEX_NAME, this._index);
    const cache = await caches.open(CACHE_NAME);
    for (const request of await cache.keys()) {
      const { href } = this._folder;
      if (!request.url.startsWith(href)) continue;
      const file = request.url.slice(href.length);
      // Folders below this one may hold collections of their own.
      if (/^data\/[^/]+$/.test(file) && !files.has(file)) await cache.delete(request);
    }
    return this.keeps;
  }
}

/** Files in a folder, for Node. */
class FolderSource {
  constructor(location) {
    this._folder = String(location).replace(/^file:\/\//, "").replace(/\/$/, "");
    this.keeps = false;
    this.offline = true;
  }

  name(file) {
    return `${this._folder}/${file}`;
  }

  index() {
    return this.read(INDEX_NAME);
  }

  async read(file) {
    const { readFile } = await import("node:fs/promises");
    try {
      const content = await readFile(this.name(file));
      return new Uint8Array(content.buffer, content.byteOffset, content.length);
    } catch (error) {
      throw new UnreachableError(`${this.name(file)} cannot be read: ${error.message}`, { cause: error });
    }
  }

  async kept() {
    return null;
  }

  async has() {
    return true;
  }

  async settle() {
    return true;
  }

  async keep(_file, bytes) {
    return bytes;
  }
}

/** Runs a few tasks at a time, in the order in which they come. */
class Lanes {
  constructor(count) {
    this._free = count;
    this._waiting = [];
  }

  async run(task) {
    if (this._free === 0) await new Promise((resolve) => this._waiting.push(resolve));
    else this._free--;
    try {
      return await task();
    } finally {
      const next = this._waiting.shift();
      if (next) next();
      else this._free++;
    }
  }
}
