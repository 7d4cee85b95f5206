// Calls the library with what comes on standard input, and prints what it answers: {site, calls: [{method, args}]} ->
// [{result} | {error: {name, message}}]. `site` is an export's folder; without it, `module` and `method` name a function.

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const { site, library, calls } = JSON.parse(readFileSync(0, "utf8"));
const plain = (value) => (ArrayBuffer.isView(value) ? Array.from(value) : Array.isArray(value) ? value.map(plain) : value);

const internal = {
  tokens: (collection, text) => ({ ...collection._tokenization.query(text), terms: collection._analyzer.ids(text) }),
  documentTokens: (collection, text) => collection._tokenization.document(text),
  matching: (collection, where) => collection._records.matching(parse(where)),
  spans: (collection, text) => collection._tokenization.querySpans(text, collection._explainer._locator),
};
const { parse } = await import(pathToFileURL(`${library}/lib/filters.js`).href);

const answers = [];
let collection = null;
try {
  if (site) collection = await (await import(pathToFileURL(`${site}/latelite.js`).href)).open(site);
} catch (error) {
  answers.push({ error: { name: error.name, message: error.message } });
  calls.length = 0;
}
for (const { module, method, args = [] } of calls) {
  try {
    let result;
    if (module) result = (await import(pathToFileURL(`${library}/lib/${module}.js`).href))[method](...args);
    else if (method in internal) result = internal[method](collection, ...args);
    else result = await collection[method](...args);
    answers.push({ result: plain(result) });
  } catch (error) {
    answers.push({ error: { name: error.name, message: error.message } });
  }
}
console.log(JSON.stringify(answers));
