// The search page in a browser. Run by test_page.py, which serves a collection and names it in ADDRESS.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";

const { ADDRESS, CHROMIUM, SCREENSHOTS } = process.env;
const QUESTION = "Wie lösche ich einen Ordner?";
const CHECK_LANGUAGES = { de: "Frage", en: "Question", es: "Pregunta", fr: "Question", it: "Domanda", nl: "Vraag", pt: "Pergunta" };

let browser;
before(async () => {
  browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
});
after(() => browser.close());

/** A test in a page of its own, which must leave no error in the console and open no foreign connection. */
function inPage(name, options, run) {
  test(name, async () => {
    const context = await browser.newContext({ locale: "de-DE", viewport: { width: 1100, height: 860 }, ...options });
    context.setDefaultTimeout(15_000);
    const page = await context.newPage();
    const complaints = [];
    page.on("console", (line) => ["error", "warning"].includes(line.type()) && complaints.push(line.text()));
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("request", (request) => {
      if (!request.url().startsWith(ADDRESS) && !request.url().startsWith("data:")) complaints.push(`foreign: ${request.url()}`);
    });
    await run(page);
    assert.deepEqual(complaints, []);
    await context.close();
  });
}

const ids = (page) => page.locator("#hits .title").allTextContents();
const shoot = (page, name) => page.screenshot({ path: `${SCREENSHOTS}/${name}.png`, animations: "disabled" });

async function ask(page, question) {
  await page.locator("#question").fill("");
  await page.locator("#question").pressSequentially(question, { delay: 15 });
  await page.waitForSelector("#hits mark");
  await page.waitForFunction((asked) => document.title.startsWith(asked), question);
  await page.waitForSelector("#hits:not(.faded) > li");
}

inPage("a German question finds the English passage, with the right words marked", {}, async (page) => {
  await page.goto(ADDRESS);
  await ask(page, QUESTION);
  await page.waitForFunction(() => document.querySelector("#hits .excerpt").textContent.startsWith("Delete a whole directory"));
  const strong = await page.locator("#hits li:first-child mark.s3, #hits li:first-child mark.s4").allTextContents();
  const marked = strong.join(" ").toLowerCase();
  assert.match(marked, /directory|folder/);
  assert.match(marked, /delete|removes/);
  // each word of the question stands above the hits, and singles out what it matched
  const word = page.locator("#words button", { hasText: "Ordner" });
  await word.click();
  assert.equal(await word.getAttribute("aria-pressed"), "true");
  const picked = await page.locator("#hits li:first-child mark.picked").allTextContents();
  assert.match(picked.join(" "), /directory|folder/);
  await word.click();
  assert.equal(await page.locator("mark.picked").count(), 0);
  assert.match(await page.locator("#status").textContent(), /Ergebnis/);
  await page.locator("#status").hover();
  await shoot(page, "search");
});

inPage("marks lie on the right characters after an emoji", {}, async (page) => {
  await page.goto(`${ADDRESS}/?q=moving%20boxes%20to%20another%20location`);
  await page.waitForSelector("#hits mark");
  const row = page.locator("#hits li", { hasText: "🚚" });
  const texts = await row.locator("mark").allTextContents();
  assert.ok(texts.length > 0);
  for (const text of texts) assert.doesNotMatch(text, /^\s|\s$|[\ud800-\udfff]$/u, text);
  assert.ok(texts.some((text) => /^(boxes|location|another|Move)$/i.test(text)), texts.join("|"));
});

inPage("filters narrow, and are in the address", {}, async (page) => {
  await page.goto(ADDRESS);
  await ask(page, QUESTION);
  const all = (await ids(page)).length;
  await page.locator(".facet", { hasText: "lang" }).getByLabel(/^de/).check();
  await page.waitForFunction((before) => document.querySelectorAll("#hits > li").length < before, all);
  assert.deepEqual([...new Set(await page.locator("#hits .place").allTextContents())].filter((text) => !text.includes("lang: de")), []);
  await page.locator(".facet", { hasText: "tags" }).getByLabel(/^travel/).check();
  await page.waitForSelector("#hits:not(.faded)");
  assert.match(await page.locator("#chosen").textContent(), /2/);
  await page.reload();
  await page.waitForSelector("#hits > li");
  assert.equal(await page.locator("#facets input:checked").count(), 2);
  await page.locator("#clear").click();
  await page.waitForFunction((before) => document.querySelectorAll("#hits > li").length === before, all);
  assert.equal(await page.locator("#facets input:checked").count(), 0);
});

inPage("filters without a question list documents", {}, async (page) => {
  await page.goto(ADDRESS);
  await page.locator(".facet", { hasText: "lang" }).getByLabel(/^fr/).check();
  await page.waitForSelector("#hits > li");
  assert.match(await page.locator("#hits").textContent(), /pain/);
});

inPage("everything can be done from the keyboard", {}, async (page) => {
  await page.goto(ADDRESS);
  await page.waitForSelector(".facet");
  await page.locator("#results").focus();
  await page.keyboard.press("/");
  assert.equal(await page.evaluate(() => document.activeElement.id), "question");
  await page.keyboard.type(QUESTION);
  await page.waitForSelector("#hits mark");
  await page.waitForSelector("#hits:not(.faded) > li");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowUp");
  const title = await page.evaluate(() => document.activeElement.textContent);
  assert.equal(title, (await ids(page))[0]);
  await page.keyboard.press("Enter");
  await page.waitForSelector("#document[open] .around");
  // the passage stands in its place, marked
  const order = await page.locator("#document-text p").evaluateAll((all) => all.map((p) => p.className));
  assert.equal(order.filter((name) => name === "here").length, 1);
  assert.ok((await page.locator("#document .here mark").count()) > 0);
  await shoot(page, "document");
  await page.keyboard.press("ArrowRight");
  await page.waitForFunction((before) => document.querySelector("#document .here").textContent !== before, "");
  await page.keyboard.press("Escape");
  await page.waitForSelector("#document:not([open])", { state: "attached" });
  assert.ok(await page.evaluate(() => document.activeElement.classList.contains("title")));
  await page.keyboard.press("Escape");
  assert.equal(await page.evaluate(() => document.activeElement.id), "question");
  await page.keyboard.press("Tab");
  assert.notEqual(await page.evaluate(() => document.activeElement.id), "question");
});

inPage("the back button closes a document", {}, async (page) => {
  await page.goto(`${ADDRESS}/?q=train`);
  await page.locator("#hits .title").first().click();
  await page.waitForSelector("#document[open]");
  await page.goBack();
  await page.waitForSelector("#document:not([open])", { state: "attached" });
  assert.equal(await page.locator("#question").inputValue(), "train");
});

inPage("the three modes are asked for", {}, async (page) => {
  const asked = [];
  page.on("request", (request) => request.url().endsWith("/search") && asked.push(JSON.parse(request.postData())));
  await page.goto(`${ADDRESS}/?q=train&mode=lexical`);
  await page.waitForSelector("#hits > li");
  await page.getByRole("radio", { name: "Sinn", exact: true }).check();
  await page.waitForFunction(() => location.search.includes("mode=semantic"));
  await page.getByRole("radio", { name: "Sinn und Wörter" }).check();
  await page.waitForFunction(() => !location.search.includes("mode="));
  assert.deepEqual([...new Set(asked.map(({ mode }) => mode))], ["lexical", "semantic", "hybrid"]);
  assert.ok(asked.every(({ explain }) => explain === true));
});

inPage("only the last of what is typed is shown, and not every letter is asked for", {}, async (page) => {
  let searches = 0;
  page.on("request", (request) => request.url().endsWith("/search") && searches++);
  await page.goto(ADDRESS);
  await page.waitForSelector(".facet");
  await page.locator("#question").pressSequentially("the night train to Hamburg", { delay: 10 });
  await page.waitForFunction(() => document.title.startsWith("the night train to Hamburg"));
  await page.waitForSelector("#hits:not(.faded) mark");
  assert.ok(searches <= 6, `${searches} searches for 26 letters`);
});

inPage("scripts in documents are shown, never run", {}, async (page) => {
  await page.goto(`${ADDRESS}/?q=tren`);
  await page.waitForSelector("#hits mark");
  assert.match(await page.locator("#hits").textContent(), /<script>window\.hacked = 1<\/script> <b>no<\/b>/);
  const row = page.locator("#hits li", { hasText: "window.hacked" });
  await row.locator(".title").click();
  await page.waitForSelector("#document[open] .here");
  assert.match(await page.locator("#document-text").textContent(), /<script>/);
  assert.equal(await page.evaluate(() => window.hacked), undefined);
});

inPage("nothing found is said", {}, async (page) => {
  await page.goto(`${ADDRESS}/?q=漢字&mode=lexical`);
  await page.waitForSelector("#notice:not([hidden])");
  assert.match(await page.locator("#notice").textContent(), /Nichts gefunden/);
});

inPage("a phone in the dark", { viewport: { width: 360, height: 740 }, colorScheme: "dark", isMobile: true, hasTouch: true }, async (page) => {
  await page.goto(`${ADDRESS}/?q=${encodeURIComponent(QUESTION)}`);
  await page.waitForSelector("#hits mark");
  const { width, ground, smallest } = await page.evaluate(() => ({
    width: document.documentElement.scrollWidth,
    ground: getComputedStyle(document.body).backgroundColor,
    smallest: Math.min(...[...document.querySelectorAll("header button, #question")].map((node) => node.getBoundingClientRect().height)),
  }));
  assert.ok(width <= 360, `the page is ${width} wide`);
  assert.equal(ground, "rgb(20, 24, 28)");
  assert.ok(smallest >= 38, `a control is ${smallest} high`);
  assert.equal(await page.locator("#filters").getAttribute("open"), null);
  await shoot(page, "phone-dark");
  await page.locator("#filters summary").tap();
  assert.ok(await page.locator(".facet").first().isVisible());
  await page.locator("#hits .title").first().tap();
  await page.waitForSelector("#document[open]");
  assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= 360);
  await page.locator("#close").tap();
});

inPage("light and dark can be chosen", {}, async (page) => {
  await page.goto(ADDRESS);
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await page.locator("#theme").click();
  assert.notEqual(await ground(), light);
  await page.reload();
  assert.notEqual(await ground(), light);
  await page.locator("#theme").click();
  assert.equal(await ground(), light);
});

for (const [language, label] of Object.entries(CHECK_LANGUAGES)) {
  inPage(`it speaks ${language}`, { locale: language }, async (page) => {
    await page.goto(ADDRESS);
    await page.waitForSelector(".facet");
    assert.equal(await page.getAttribute("html", "lang"), language);
    assert.equal(await page.locator("label[for=question]").textContent(), label);
    assert.doesNotMatch(await page.locator("body").innerText(), /undefined|\{n\}/);
  });
}

inPage("every control has a name, every heading its place", {}, async (page) => {
  await page.goto(`${ADDRESS}/?q=train`);
  await page.waitForSelector("#hits mark");
  const nameless = await page.evaluate(() => {
    const named = (node) => node.textContent.trim().replace(/[^\p{L}\p{N}]/gu, "") || node.getAttribute("aria-label") || node.labels?.[0]?.textContent.trim();
    return [...document.querySelectorAll("button, input, select, a, meter")].filter((node) => !named(node)).map((node) => node.outerHTML);
  });
  assert.deepEqual(nameless, []);
  assert.equal(await page.locator("h1").count(), 1);
  assert.equal(await page.locator("[role=status]").count(), 1);
  assert.equal(await page.locator("main").count(), 1);
});

inPage("first paint does not wait for a search", {}, async (page) => {
  await page.goto(ADDRESS, { waitUntil: "load" });
  const paint = await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0);
  const bytes = await page.evaluate(() =>
    performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation")).filter(({ name }) => !name.includes("/api/")).reduce((sum, { decodedBodySize }) => sum + decodedBodySize, 0),
  );
  assert.ok(paint < 3000, `${paint} ms`);
  assert.ok(bytes > 20_000 && bytes <= 60_000, `${bytes} bytes`);
});
