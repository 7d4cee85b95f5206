// The JavaScript side of web.py: `node web.mjs TASK`, with what the task takes as JSON on standard input and its figures as
// JSON on standard output.

import { spawn } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { isMainThread, Worker, workerData } from "node:worker_threads";

const WARM_UP = 4;
const SLICE = 20; // milliseconds, of which a process that is slowed down runs its share
const PAUSE = 15; // between two keystrokes
const round = (value) => Math.round(value * 10) / 10;

/** Hits of every question, by the library in Node. */
async function agreement({ site, questions, k, modes }) {
  const { open } = await import(pathToFileURL(`${site}/latelite.js`).href);
  const collection = await open(site);
  const answers = [];
  for (const question of questions) {
    const answer = {};
    for (const mode of modes) answer[mode] = (await collection.search(question, { k, mode })).map(({ id, score }) => [id, score]);
    answers.push(answer);
  }
  return answers;
}

/** Token vectors of every question, by the library in Node, each flat. */
async function vectors({ site, questions }) {
  const { open } = await import(pathToFileURL(`${site}/latelite.js`).href);
  const collection = await open(site);
  const encoded = [];
  for (const question of questions) encoded.push((await collection.encode(question)).flatMap((vector) => [...vector]));
  return encoded;
}

const ARRAYS = { float32: Float32Array, int32: Int32Array, int64: BigInt64Array, int8: Int8Array, uint8: Uint8Array };

/** Single operators, with inputs that are read from files; what they give is written to files. */
async function operators({ ort: module, jobs }) {
  const ort = await import(module);
  Object.assign(ort.env.wasm, { numThreads: 1 });
  for (const { graph, output, runs } of jobs) {
    const session = await ort.InferenceSession.create(readFileSync(graph), { executionProviders: ["wasm"] });
    for (const { inputs, output: file } of runs) {
      const feeds = {};
      for (const { name, type, dims, file } of inputs) {
        const { buffer } = Uint8Array.from(readFileSync(file));
        feeds[name] = new ort.Tensor(type, new ARRAYS[type](buffer), dims);
      }
      const { data } = (await session.run(feeds))[output];
      writeFileSync(file, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    }
    await session.release();
  }
  return jobs.length;
}

/** What a visitor of a site sees, at full speed and slowed down. */
async function visit(options) {
  const { site, questions, slowdown } = options;
  const server = await serve(site, options.python);
  const context = await launch(options);
  try {
    const figures = { first_visit: await firstVisit(context, server, questions[0]) };
    figures.main_thread = await typing(context, server, questions.slice(0, 6), 1);
    figures.main_thread_slowed = await typing(context, server, questions.slice(0, 6), slowdown);
    return { ...figures, ...(await library(context, server, questions, slowdown)) };
  } finally {
    await context.close();
    await server.stop();
  }
}

/** The first hits of each question in a page that is opened after the server has stopped. */
async function offline(options) {
  const server = await serve(options.site, options.python);
  const context = await launch(options);
  try {
    const page = await context.newPage();
    await page.goto(server.address);
    await settled(page);
    await page.close();
    await server.stop();
    const answers = [];
    for (const question of options.questions) {
      const own = await context.newPage();
      await own.goto(`${server.address}?q=${encodeURIComponent(question)}`);
      await own.waitForSelector("#hits:not(.faded) > li mark");
      if (options.screenshots) await own.screenshot({ path: join(options.screenshots, `offline-${answers.length + 1}.png`) });
      const titles = await own.locator("#hits .title").allTextContents();
      answers.push(titles.slice(0, 3));
      await own.close();
    }
    return answers;
  } finally {
    await context.close();
    await server.stop();
  }
}

/** Memory by Chromium's own measure, which counts WebAssembly's: once opened, and after all questions, explained. */
async function heap({ site, questions, ...options }) {
  const { server, address } = await isolated(site);
  const context = await launch({ ...options, flags: ["--enable-blink-features=ForceEagerMeasureMemory"] });
  try {
    const page = await context.newPage();
    await page.goto(`${address}package.json`);
    const measured = () => page.evaluate(async () => (await performance.measureUserAgentSpecificMemory()).bytes);
    await page.evaluate(async () => {
      const { open } = await import("./latelite.js");
      globalThis.notes = await open(undefined, { threads: 1 });
    });
    const opened = await measured();
    await ask(page, questions, true);
    return { questions: questions.length, opened_bytes: opened, asked_bytes: await measured() };
  } finally {
    await context.close();
    server.close();
  }
}

/** A file server whose pages are isolated from other origins, without which Chromium measures nothing. */
async function isolated(folder) {
  const types = { ".js": "text/javascript", ".json": "application/json" };
  const server = createServer(({ url }, response) => {
    const name = decodeURIComponent(new URL(url, "http://localhost").pathname);
    response.setHeader("content-type", types[extname(name)] ?? "application/octet-stream");
    response.setHeader("cross-origin-opener-policy", "same-origin");
    response.setHeader("cross-origin-embedder-policy", "require-corp");
    try {
      response.end(readFileSync(join(folder, name)));
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, address: `http://127.0.0.1:${server.address().port}/` };
}

async function firstVisit(context, server, question) {
  const page = await context.newPage();
  await page.addInitScript(observeTasks);
  const start = performance.now();
  await page.goto(`${server.address}?q=${encodeURIComponent(question)}`);
  const shown = performance.now() - start;
  await page.waitForSelector("#hits:not(.faded) > li");
  const answered = performance.now() - start;
  await settled(page);
  const complete = performance.now() - start;
  const { usage } = await page.evaluate(() => navigator.storage.estimate());
  const longest = await longestTask(page);
  await page.close();
  return {
    bytes: server.bytes(),
    files: server.requests.length,
    page_ms: round(shown),
    first_hits_ms: round(answered),
    everything_kept_ms: round(complete),
    storage_bytes: usage,
    longest_task_ms: longest,
  };
}

/** The longest task of the page's main thread while it is loaded and typed into. */
async function typing(context, server, questions, rate) {
  const page = await context.newPage();
  await page.addInitScript(observeTasks);
  await (await context.newCDPSession(page)).send("Emulation.setCPUThrottlingRate", { rate });
  await page.goto(server.address);
  for (const question of questions) {
    await page.fill("#question", "");
    await page.locator("#question").pressSequentially(question, { delay: PAUSE });
    await page.waitForFunction((asked) => document.title.startsWith(asked.trim()), question);
    await page.waitForSelector("#hits:not(.faded) > li");
  }
  const longest = await longestTask(page);
  await page.close();
  return { questions: questions.length, slowed_down: rate, longest_task_ms: longest };
}

function observeTasks() {
  globalThis.longestTask = 0;
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) globalThis.longestTask = Math.max(globalThis.longestTask, duration);
  }).observe({ type: "longtask", buffered: true });
}

/** In milliseconds; 0 where none took as many as 50. */
async function longestTask(page) {
  await page.waitForTimeout(500);
  return page.evaluate(() => globalThis.longestTask);
}

/** The library in a page without anything else: opening what is kept, questions, memory. */
async function library(context, server, questions, slowdown) {
  const page = await context.newPage();
  await page.goto(`${server.address}package.json`);
  const opened = await page.evaluate(async () => {
    const { open } = await import("./latelite.js");
    const start = performance.now();
    globalThis.notes = await open();
    return performance.now() - start;
  });
  const figures = { open_ms: round(opened), questions: {} };
  const asked = questions.slice(0, WARM_UP);
  await ask(page, asked, true);
  for (const explain of [false, true]) figures.questions[explain ? "explained" : "plain"] = await ask(page, questions, explain);
  figures.memory = await memory(context, page);
  const spin = await spinning(page);
  const renderer = await largest(context);
  const stop = new Int32Array(new SharedArrayBuffer(4));
  const slow = new Worker(new URL(import.meta.url), { workerData: { pid: renderer.pid, slowdown, stop } });
  await new Promise((resolve) => slow.once("online", resolve));
  try {
    const slowed = await spinning(page);
    figures.slowed = {
      main_thread: round(slowed.main / spin.main),
      worker: round(slowed.worker / spin.worker),
      questions: await ask(page, questions, true),
    };
  } finally {
    stop[0] = 1;
    await new Promise((resolve) => slow.once("exit", resolve));
  }
  await page.close();
  return figures;
}

/** Milliseconds of each question, sorted. */
async function ask(page, questions, explain) {
  const times = await page.evaluate(
    async ({ questions, explain }) => {
      const times = [];
      for (const question of questions) {
        const start = performance.now();
        await globalThis.notes.search(question, { k: 10, explain });
        times.push(performance.now() - start);
      }
      return times;
    },
    { questions, explain },
  );
  times.sort((a, b) => a - b);
  const at = (share) => round(times[Math.min(times.length - 1, Math.floor(share * times.length))]);
  return { count: times.length, p50_ms: at(0.5), p95_ms: at(0.95), max_ms: at(1) };
}

/** Milliseconds of the same loop in the page and in a worker: what slowing down really does. */
function spinning(page) {
  return page.evaluate(async () => {
    const spin = () => {
      const start = performance.now();
      let sum = 0;
      for (let number = 0; number < 1e8; number++) sum += number % 7;
      return performance.now() - start + 0 * sum;
    };
    const worker = new Worker(URL.createObjectURL(new Blob([`postMessage((${spin})())`])));
    const inWorker = await new Promise((resolve) => (worker.onmessage = ({ data }) => resolve(data)));
    worker.terminate();
    return { main: spin(), worker: inWorker };
  });
}

/**
 * Bytes of JavaScript's heaps and buffers, of page and worker; and of the whole process, with WebAssembly's memory, the
 * browser's code and what it keeps of the page.
 */
async function memory(context, page) {
  const heap = ({ usedSize, backingStorageSize }) => ({ heap: usedSize, buffers: backingStorageSize });
  const session = await context.newCDPSession(page);
  await session.send("HeapProfiler.collectGarbage");
  const figures = { page: heap(await session.send("Runtime.getHeapUsage")) };
  const browser = await context.browser().newBrowserCDPSession();
  const { targetInfos } = await browser.send("Target.getTargets");
  const target = targetInfos.find(({ type, url }) => type === "worker" && url.includes("lib/worker.js"));
  const { sessionId } = await browser.send("Target.attachToTarget", { targetId: target.targetId, flatten: false });
  const call = (id, method) =>
    new Promise((resolve) => {
      browser.on("Target.receivedMessageFromTarget", ({ message }) => {
        const answer = JSON.parse(message);
        if (answer.id === id) resolve(answer.result);
      });
      browser.send("Target.sendMessageToTarget", { sessionId, message: JSON.stringify({ id, method }) });
    });
  await call(1, "HeapProfiler.collectGarbage");
  figures.worker = heap(await call(2, "Runtime.getHeapUsage"));
  figures.sum = Object.values(figures).reduce((sum, { heap, buffers }) => sum + heap + buffers, 0);
  return { ...figures, renderer_process: (await largest(context)).bytes };
}

/** The process that shows the page, and its share of memory. */
async function largest(context) {
  const browser = await context.browser().newBrowserCDPSession();
  const { processInfo } = await browser.send("SystemInfo.getProcessInfo");
  return processInfo
    .filter(({ type }) => type === "renderer")
    .map(({ id: pid }) => ({ pid, bytes: 1024 * Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))[1]) }))
    .reduce((one, other) => (other.bytes > one.bytes ? other : one));
}

/** The index is kept last, so everything is on the device; and the page is the service worker's. */
const settled = (page) =>
  page.evaluate(async () => {
    const there = async () => {
      const kept = await (await caches.open("latelite-collections")).match("collection.json");
      return kept && (await navigator.serviceWorker.ready).active.state === "activated";
    };
    while (!(await there())) await new Promise((resolve) => setTimeout(resolve, 20));
  });

async function launch({ playwright, chromium: executablePath, profile, flags = [] }) {
  const { chromium } = await import(playwright);
  const context = await chromium.launchPersistentContext(profile, { executablePath, args: ["--no-sandbox", ...flags], locale: "en-GB" });
  context.setDefaultTimeout(120_000);
  return context;
}

/** Python's own file server: neither compresses nor answers requests for a range. */
async function serve(folder, python) {
  const server = spawn(python, ["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", folder]);
  const requests = [];
  server.stderr.on("data", (data) => requests.push(...[...String(data).matchAll(/"GET \/(\S*) HTTP\/1.." 200/g)].map(([, file]) => file)));
  let said = "";
  const port = await new Promise((resolve) => {
    server.stdout.on("data", (data) => /port (\d+) /.test((said += data)) && resolve(/port (\d+) /.exec(said)[1]));
  });
  const ended = new Promise((resolve) => server.on("close", resolve));
  const size = (file) => statSync(join(folder, file.split("?")[0] || "index.html")).size;
  return {
    address: `http://127.0.0.1:${port}/`,
    requests,
    bytes: () => requests.reduce((sum, file) => sum + size(file), 0),
    stop: () => server.kill() && ended,
  };
}

/** Let a process run for one part in `slowdown` of the time: Chromium slows down main threads only, and we search in a worker. */
function slowDown({ pid, slowdown, stop }) {
  while (!stop[0]) {
    process.kill(pid, "SIGSTOP");
    Atomics.wait(stop, 0, 0, SLICE - SLICE / slowdown);
    process.kill(pid, "SIGCONT");
    Atomics.wait(stop, 0, 0, SLICE / slowdown);
  }
}

if (isMainThread) {
  const task = { agreement, vectors, operators, visit, offline, heap }[process.argv[2]];
  console.log(JSON.stringify(await task(JSON.parse(readFileSync(0, "utf8")))));
} else {
  slowDown(workerData);
}
