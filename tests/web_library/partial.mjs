// Searches a collection while parts of its vectors are still on their way: {site, query, options} on standard input ->
// {before, filtered, after} or, where a part is damaged, {before, error}. All parts of the vectors but the second come
// at once; that one comes after the first answers.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const { site, query, options, where, damaged } = JSON.parse(readFileSync(0, "utf8"));
const { files } = JSON.parse(readFileSync(join(site, "collection.json"), "utf8"));
const late = files["parts/0/tokens"].parts[1].file;
let release;
const released = new Promise((resolve) => (release = resolve));
const server = createServer(async ({ url }, response) => {
  const name = decodeURIComponent(url.slice(1));
  if (name === late) await released;
  const content = readFileSync(join(site, name));
  response.end(name === late && damaged ? content.subarray(1) : content);
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));

const { open } = await import(pathToFileURL(join(site, "latelite.js")).href);
const notes = await open(`http://127.0.0.1:${server.address().port}/`, { partial: true });
let complete = false;
notes.complete.then(
  () => (complete = true),
  () => {},
);
const before = await notes.search(query, options);
const filtered = await notes.search(query, { ...options, where });
const early = complete;
release();
try {
  await notes.complete;
  console.log(JSON.stringify({ before, filtered, early, after: await notes.search(query, options) }));
} catch (error) {
  console.log(JSON.stringify({ before: await notes.search(query, options), early, error: { name: error.name, message: error.message } }));
}
server.closeAllConnections();
server.close();
