/** The two packages that this library stands on, as they lie beside it in an export. */

/** @returns {Promise<{ort: any, Tokenizer: any}>} */
export async function load() {
  const folder = new URL("../third_party/", import.meta.url);
  const [ort, { Tokenizer }] = await Promise.all([
    import("../third_party/onnxruntime-web/ort.wasm.min.js"),
    import("../third_party/tokenizers/tokenizers.min.js"),
  ]);
  ort.env.wasm.wasmPaths = { mjs: new URL("onnxruntime-web/ort-wasm-simd-threaded.js", folder).href };
  return { ort, Tokenizer };
}
