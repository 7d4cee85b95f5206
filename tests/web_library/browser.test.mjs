// An exported site in Chromium. Run by test_browser.py, which exports `site` and `update` into the folder SITES.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

const { SITES, PROFILES, PYTHON, PLAYWRIGHT, CHROMIUM, SCREENSHOTS } = process.env;
const { chromium } = await import(PLAYWRIGHT);
const QUESTION = "Wie lösche ich einen Ordner?";
const MINUTE = 60_000;
// A foreign name for this machine: browsers take http://localhost for safe, and http://notes.test not.
const ELSEWHERE = "notes.test";

let copies = 0;

/** A copy of an export, served by Python's own file server. */
async function serve(name = "site", port = 0) {
  const folder = join(PROFILES, `site-${++copies}`);
  cpSync(join(SITES, name), folder, { recursive: true });
  const server = spawn(PYTHON, ["-u", "-m", "http.server", String(port), "--bind", "127.0.0.1", "--directory", folder]);
  const requests = [];
  const transferred = []; // those that were not answered "unchanged"
  server.stderr.on("data", (data) => {
    for (const [, file, status] of String(data).matchAll(/"GET \/(\S*) HTTP\/1\.\d" (\d+)/g)) {
      requests.push(file);
      if (status === "200") transferred.push(file);
    }
  });
  let said = "";
  const found = await new Promise((resolve, reject) => {
    server.stdout.on("data", (data) => /port (\d+) /.test((said += data)) && resolve(/port (\d+) /.exec(said)[1]));
    server.on("exit", () => reject(new Error("the file server did not start")));
  });
  const ended = new Promise((resolve) => server.on("close", resolve));
  const stop = () => server.kill() && ended;
  return { folder, address: `http://127.0.0.1:${found}/`, port: Number(found), requests, transferred, stop };
}

/** A test with a browser profile of its own: what a browser keeps in a private window is another matter. */
function inBrowser(name, options, run) {
  test(name, async () => {
    const context = await chromium.launchPersistentContext(join(PROFILES, `profile-${++copies}`), {
      executablePath: CHROMIUM,
      args: ["--no-sandbox", `--host-resolver-rules=MAP ${ELSEWHERE} 127.0.0.1`],
      locale: "en-GB",
      viewport: { width: 1100, height: 860 },
      ...options,
    });
    context.setDefaultTimeout(MINUTE);
    const servers = [];
    const started = async (...args) => {
      const server = await serve(...args);
      servers.push(server);
      return server;
    };
    try {
      await run(context, started);
    } finally {
      await context.close();
      for (const server of servers) await server.stop();
    }
  });
}

/** A page that must leave no error in the console and fetch nothing from elsewhere. */
async function openPage(context, address, complaints = []) {
  const page = await context.newPage();
  const origin = new URL(address).origin;
  page.on("console", (line) => line.type() === "error" && complaints.push(line.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => /^https?:/.test(request.url()) && !request.url().startsWith(origin) && complaints.push(request.url()));
  page.complaints = complaints;
  await page.goto(address);
  return page;
}

async function ask(page, question) {
  await page.fill("#question", "");
  await page.locator("#question").pressSequentially(question, { delay: 10 });
  await page.waitForFunction((asked) => document.title.startsWith(asked), question);
  await page.waitForSelector("#hits:not(.faded) > li mark");
  return page.locator("#hits .excerpt").allTextContents();
}

/** Everything is on the device, and the page is the service worker's. */
const settled = (page) =>
  page.evaluate(async () => {
    const there = async () => {
      const kept = await (await caches.open("latelite-collections")).match("collection.json");
      return kept && (await navigator.serviceWorker.ready).active.state === "activated";
    };
    while (!(await there())) await new Promise((resolve) => setTimeout(resolve, 50));
  });
const shoot = (page, name) => page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), animations: "disabled" });

inBrowser("after one visit it searches with the server gone, also after a reload", {}, async (context, serve) => {
  const { address, requests, transferred, stop } = await serve();
  const page = await openPage(context, address);
  const online = await ask(page, QUESTION);
  assert.match(online[0], /^Delete a whole directory/);
  await shoot(page, "web-search");
  await settled(page);
  await stop();
  assert.deepEqual(transferred.filter((file, place) => transferred.indexOf(file) !== place), []); // nothing twice
  const before = requests.length;
  await page.reload();
  assert.deepEqual(await ask(page, QUESTION), online);
  assert.match((await ask(page, "bread needs a hot oven"))[0], /Roggebrood|seigle|segale/);
  await page.locator("#hits .title").first().click();
  await page.waitForSelector("#document[open] .here");
  assert.equal(requests.length, before);
  assert.deepEqual(page.complaints, []);
  // and in a new window
  const second = await openPage(context, `${address}?q=Nachtzug`);
  await second.waitForSelector("#hits > li mark");
  assert.match(await second.locator("#hits .excerpt").first().textContent(), /Nachtzug/);
});

inBrowser("it can be installed", {}, async (context, serve) => {
  const { address } = await serve();
  const page = await openPage(context, address);
  await ask(page, QUESTION);
  await settled(page);
  const session = await context.newCDPSession(page);
  assert.deepEqual((await session.send("Page.getInstallabilityErrors")).installabilityErrors, []);
  const { url, errors } = await session.send("Page.getAppManifest");
  assert.equal(url, `${address}manifest.webmanifest`);
  assert.deepEqual(errors, []);
  for (const { src, sizes } of (await (await fetch(url)).json()).icons) {
    const drawn = await page.evaluate(async (address) => {
      const image = new Image();
      image.src = address;
      await image.decode();
      return `${image.naturalWidth}x${image.naturalHeight}`;
    }, new URL(src, address).href);
    assert.ok(sizes === "any" || sizes === drawn, `${src} is ${drawn}`);
  }
});

inBrowser("a new export takes the place of the old one, and only what changed is fetched", {}, async (context, serve) => {
  const first = await serve();
  const page = await openPage(context, first.address);
  await ask(page, "whales");
  await settled(page);
  await page.close();
  await first.stop();
  const second = await serve("update", first.port);
  const renewed = await openPage(context, second.address);
  assert.match((await ask(renewed, "whales"))[0], /Whales sing/);
  const index = JSON.parse(readFileSync(join(second.folder, "collection.json"), "utf8"));
  for (const name of ["model", "tokenizer", "wasm", "maxsim/int14"]) {
    for (const { file } of index.files[name].parts) assert.ok(!second.requests.includes(file), name);
  }
  await settled(renewed);
  const kept = () => renewed.evaluate(async () => (await (await caches.open("latelite-collections")).keys()).map(({ url }) => new URL(url).pathname.slice(1)));
  const named = ["collection.json", ...Object.values(index.files).flatMap(({ parts }) => parts.map(({ file }) => file))];
  await renewed.evaluate(async (count) => {
    const kept = async () => (await (await caches.open("latelite-collections")).keys()).length;
    while ((await kept()) !== count) await new Promise((resolve) => setTimeout(resolve, 50));
  }, new Set(named).size);
  assert.deepEqual((await kept()).sort(), [...new Set(named)].sort()); // what the old one had is gone
});

for (const damage of ["truncated", "changed", "missing"]) {
  inBrowser(`a ${damage} file is refused by its name`, {}, async (context, serve) => {
    const { address, folder } = await serve();
    const index = JSON.parse(readFileSync(join(folder, "collection.json"), "utf8"));
    const [{ file }] = index.files["parts/0/tokens"].parts;
    const path = join(folder, file);
    const content = readFileSync(path);
    if (damage === "missing") rmSync(path);
    else if (damage === "truncated") writeFileSync(path, content.subarray(0, content.length - 9));
    else writeFileSync(path, Buffer.from(content.map((byte, place) => (place === content.length >> 1 ? byte ^ 1 : byte))));
    const page = await openPage(context, `${address}?q=bread`);
    await page.waitForSelector("#notice.error:not([hidden])");
    const notice = await page.locator("#notice").textContent();
    assert.ok(notice.includes(file), notice);
    assert.match(notice, damage === "missing" ? /404/ : /damaged/);
    assert.equal(await page.locator("#hits > li").count(), 0);
  });
}

inBrowser("what was damaged on the device is fetched again", {}, async (context, serve) => {
  const { address, folder } = await serve();
  const page = await openPage(context, address);
  const found = await ask(page, QUESTION);
  await settled(page);
  const [{ file }] = JSON.parse(readFileSync(join(folder, "collection.json"), "utf8")).files["parts/0/tokens"].parts;
  await page.evaluate(async (url) => (await caches.open("latelite-collections")).put(url, new Response("x")), file);
  await page.reload();
  assert.deepEqual(await ask(page, QUESTION), found);
});

const PHONE = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true, colorScheme: "dark" };
inBrowser("on a slow phone", PHONE, async (context, serve) => {
  const { address } = await serve();
  const page = await context.newPage();
  await (await context.newCDPSession(page)).send("Emulation.setCPUThrottlingRate", { rate: 4 });
  await page.goto(address);
  assert.match((await ask(page, QUESTION))[0], /^Delete a whole directory/);
  assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= 360);
  await shoot(page, "web-phone");
  await page.locator("#hits .title").first().tap();
  await page.waitForSelector("#document[open] .here");
  assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= 360);
});

inBrowser("without https it works, and is not kept", {}, async (context, serve) => {
  const { address } = await serve();
  const page = await openPage(context, address.replace("127.0.0.1", ELSEWHERE));
  assert.equal(await page.evaluate(() => globalThis.isSecureContext), false);
  assert.match((await ask(page, QUESTION))[0], /^Delete a whole directory/);
  assert.deepEqual(page.complaints, []);
});

inBrowser("an element for any page", {}, async (context, serve) => {
  const { address, folder, requests } = await serve();
  writeFileSync(
    join(folder, "my.html"),
    '<!doctype html><meta charset="utf-8"><title>Mine</title><script type="module" src="element.js"></script><latelite-search placeholder="Ask" k="3"></latelite-search>',
  );
  const page = await openPage(context, `${address}my.html`);
  const box = page.getByRole("searchbox", { name: "Ask" });
  await box.waitFor();
  assert.ok(!requests.some((file) => file.startsWith("data/"))); // nothing is fetched for those who do not search
  await box.pressSequentially("moving boxes");
  await page.waitForFunction(() => document.querySelector("latelite-search").shadowRoot.querySelector("mark"));
  const first = page.locator("latelite-search li").first();
  assert.match(await first.textContent(), /🚚 Move boxes/);
  assert.match((await first.locator("mark").allTextContents()).join(" "), /boxes/);
  assert.equal(await first.locator("a").getAttribute("href"), `${address}page.html#2`);
  assert.equal(await page.locator("latelite-search li").count(), 3);
  await shoot(page, "web-element");
  // Scripts are text, and addresses that would run are not linked.
  await box.fill("el tren sale");
  const row = page.locator("latelite-search li", { hasText: "El tren" });
  await row.waitFor();
  assert.match(await row.textContent(), /<script>window\.hacked = 1<\/script>/);
  assert.equal(await row.locator("a").count(), 0);
  assert.equal(await page.evaluate(() => window.hacked), undefined);
});

inBrowser("the library in a page: worker, filters, counts, offsets, abort", {}, async (context, serve) => {
  const { address } = await serve();
  const page = await openPage(context, address);
  const answers = await page.evaluate(async () => {
    const { open, excerpt, QueryError } = await import("./latelite.js");
    const steps = [];
    const notes = await open(undefined, { onProgress: ({ loaded, total }) => steps.push([loaded, total]) });
    const hits = await notes.search("moving boxes", { k: 2, explain: true, where: { lang: { $in: ["en", "de"] } } });
    const controller = new AbortController();
    const aborted = notes.search("bread", { signal: controller.signal }).catch((error) => error.name);
    controller.abort();
    return {
      steps,
      hits,
      marked: hits[0].matches.map(({ start, end }) => hits[0].text.slice(start, end)),
      excerpt: excerpt(hits[0]),
      aborted: await aborted,
      refused: await notes.search("x", { mode: "best" }).catch((error) => [error instanceof QueryError, error.message]),
      vectors: (await notes.encode("bread")).map((vector) => Math.hypot(...vector)),
      count: await notes.count({ where: { lang: "en" } }),
      facets: await notes.facets(),
      complete: await notes.complete,
      length: notes.length,
    };
  });
  assert.deepEqual(Object.keys(answers.hits[0]), ["id", "score", "text", "metadata", "semantic", "lexical", "matches"]);
  assert.ok(answers.marked.some((text) => text === "boxes"), answers.marked.join("|"));
  assert.match(answers.excerpt, /^🚚 .*<mark>boxes<\/mark>/);
  assert.equal(answers.aborted, "AbortError");
  assert.equal(answers.refused[0], true);
  assert.match(answers.refused[1], /best/);
  for (const length of answers.vectors) assert.ok(Math.abs(length - 1) < 1e-3);
  assert.equal(answers.count, 3);
  assert.equal(answers.length, 9);
  assert.equal(answers.complete, true);
  assert.deepEqual(answers.facets.find(({ field }) => field === "lang").values[0], { value: "en", count: 3 });
  const [loaded, total] = answers.steps.at(-1);
  assert.ok(loaded === total && total > 5e6, answers.steps.at(-1).join());
  assert.deepEqual(page.complaints, []);
});
