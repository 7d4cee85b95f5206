/** The two packages that this library stands on. In an export this file names the copies that lie beside it. */

/** @returns {Promise<{ort: any, Tokenizer: any}>} */
export async function load() {
  const [ort, { Tokenizer }] = await Promise.all([import("onnxruntime-web/wasm"), import("@huggingface/tokenizers")]);
  return { ort, Tokenizer };
}
