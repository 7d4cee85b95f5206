/** ids -> token vectors: ONNX Runtime Web on one graph. */

import { DamagedFileError } from "./errors.js";

/** Runs one graph, one text at a time: a text's int8 vectors would depend on its batch mates. */
export class Encoder {
  /**
   * @param {any} ort the module onnxruntime-web
   * @param {Uint8Array} graph an ONNX model
   * @param {any} manifest of the bundle
   * @returns {Promise<Encoder>}
   */
  static async load(ort, graph, manifest) {
    try {
      return new Encoder(ort, await ort.InferenceSession.create(graph, { executionProviders: ["wasm"] }), manifest);
    } catch (error) {
      throw new DamagedFileError(`ONNX Runtime Web cannot load the model: ${error.message}`, { cause: error });
    }
  }

  constructor(ort, session, manifest) {
    this._ort = ort;
    this._session = session;
    this._inputs = manifest.inputs;
    this._output = manifest.output;
    this.dim = manifest.dim;
  }

  /**
   * Token vectors of one text, L2-normalised, one row after another.
   * @param {import("./tokenization.js").Tokens} tokens
   * @returns {Promise<Float32Array>} kept tokens x dim
   */
  async run({ ids, attention, keep }) {
    const values = { input_ids: ids, attention_mask: attention, token_type_ids: ids.map(() => 0) };
    const feeds = {};
    for (const name of this._inputs) {
      feeds[name] = new this._ort.Tensor("int64", BigInt64Array.from(values[name], BigInt), [1, ids.length]);
    }
    const output = (await this._session.run(feeds))[this._output];
    const vectors = output.data;
    const kept = new Float32Array(keep.filter(Boolean).length * this.dim);
    let row = 0;
    keep.forEach((stays, token) => {
      if (stays) kept.set(vectors.subarray(token * this.dim, (token + 1) * this.dim), this.dim * row++);
    });
    output.dispose();
    return kept;
  }
}
