// The search page: what is asked, when, and what is shown.

import { backend } from "./backend.js";
import { DocumentView } from "./document.js";
import { Filters } from "./filters.js";
import { wordsOf } from "./highlight.js";
import { counted, message, number, translate } from "./messages.js";
import { linkWords, showHits, showWords } from "./results.js";

const PAUSE = 120; // milliseconds after a keystroke before it is searched
const PAGE = 10;
const MOST = 100;

const at = (id) => document.getElementById(id);
const [question, status, notice, list, words, more] = ["question", "status", "notice", "hits", "words", "more"].map(at);

const state = { collection: null, documents: null, k: PAGE, hits: [], words: [], opened: -1 };
let asking = null; // aborts what was asked before
let pause = 0;
let again = 0;

const mode = () => document.querySelector("input[name=mode]:checked").value;

// --- asking

/** Search for what stands in the page now; `silent` leaves what is shown until the answer is there. */
async function ask() {
  clearTimeout(pause);
  clearTimeout(again);
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  const text = question.value.trim();
  save();
  if (state.collection === null) return;
  list.classList.add("faded");
  try {
    if (text) {
      const options = { collection: state.collection, question: text, k: state.k, mode: mode(), where: filters.where, signal };
      const { hits, seconds } = await backend.search(options);
      show(hits, text);
      say(`${counted("hits", hits.length)} · ${message("time", { n: number(seconds * 1000) })}`);
    } else if (filters.where) {
      const { documents, total } = await backend.list({ collection: state.collection, where: filters.where, limit: state.k, signal });
      show(documents, "");
      say(counted("documents", total));
    } else {
      show([], "");
      tell(message("start"));
      say(state.documents === null ? "" : counted("documents", state.documents));
    }
  } catch (error) {
    if (error.name === "AbortError") return;
    fail(error, ask);
  }
  list.classList.remove("faded");
}

function show(hits, text) {
  state.hits = hits;
  state.words = wordsOf(text, hits);
  showHits(list, hits, state.words, open);
  showWords(words, state.words);
  more.hidden = hits.length < state.k || state.k >= MOST;
  tell(hits.length || !text ? "" : message("none"));
}

/** Ask once the typing pauses. */
function askSoon() {
  state.k = PAGE;
  clearTimeout(pause);
  pause = setTimeout(ask, PAUSE);
}

function say(text) {
  status.textContent = text;
}

function tell(text, isError = false) {
  notice.textContent = text;
  notice.hidden = !text;
  notice.classList.toggle("error", isError);
}

/** Tell of an error; what a later try may mend is tried again. */
function fail(error, retry) {
  if (error.status === 401) {
    at("token-dialog").open || at("token-dialog").showModal();
    return;
  }
  if (error.retryAfter) {
    tell(message(error.status === 0 ? "away" : "busy"));
    again = setTimeout(retry, error.retryAfter * 1000);
    return;
  }
  tell(message("failed", { text: error.message }), true);
}

// --- the document view

async function open(place) {
  state.opened = place;
  history.pushState({ opened: true }, "");
  await showOpened();
}

async function showOpened() {
  try {
    await view.show(state.hits[state.opened], state.words);
  } catch (error) {
    if (error.name !== "AbortError" && view.isOpen) fail(error, showOpened);
  }
}

function move(step) {
  const place = state.opened + step;
  if (place < 0 || place >= state.hits.length) return;
  state.opened = place;
  showOpened();
}

const view = new DocumentView({
  load: (id, around) => backend.document({ collection: state.collection, id, around }),
  onMove: move,
  onClose: () => {
    if (history.state?.opened) history.back();
    list.children[state.opened]?.querySelector("button").focus();
  },
});

// --- filters and collections

const filters = new Filters(at("facets"), () => {
  showChosen();
  state.k = PAGE;
  ask();
});

function showChosen() {
  at("chosen").textContent = filters.size ? `(${number(filters.size)})` : "";
  at("clear").hidden = !filters.size;
}

async function showFacets() {
  try {
    const facets = await backend.facets({ collection: state.collection });
    filters.show(facets);
    at("filters").hidden = !facets.length;
  } catch (error) {
    if (error.retryAfter) setTimeout(showFacets, error.retryAfter * 1000);
  }
}

async function begin() {
  clearTimeout(again);
  let collections;
  try {
    collections = await backend.collections();
  } catch (error) {
    fail(error, begin);
    return;
  }
  const known = collections.find(({ name }) => name === state.collection) ?? collections[0];
  const chooser = at("collection");
  chooser.hidden = collections.length < 2;
  chooser.replaceChildren(...collections.map(({ name }) => new Option(name, name, false, name === known.name)));
  state.collection = known.name;
  state.documents = known.documents;
  if (known.state === "loading") {
    tell(message("loading"));
    again = setTimeout(begin, 300);
    return;
  }
  showFacets();
  ask();
}

// --- the address: what is asked can be bookmarked

function save() {
  const values = new URLSearchParams();
  if (question.value.trim()) values.set("q", question.value.trim());
  if (mode() !== "hybrid") values.set("mode", mode());
  if (!at("collection").hidden && state.collection) values.set("collection", state.collection);
  if (filters.size) values.set("filters", JSON.stringify(filters.save()));
  const query = values.toString();
  history.replaceState(history.state, "", query ? `?${query}` : location.pathname);
  document.title = question.value.trim() ? `${question.value.trim()} – latelite` : "latelite";
}

function restore() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token) backend.setToken(token);
  const values = new URLSearchParams(location.search);
  question.value = values.get("q") ?? "";
  state.collection = values.get("collection");
  const wanted = document.querySelector(`input[name=mode][value="${CSS.escape(values.get("mode") ?? "hybrid")}"]`);
  if (wanted) wanted.checked = true;
  try {
    filters.restore(JSON.parse(values.get("filters") ?? "[]"));
  } catch {
    // an address that was cut or mistyped: no filters
  }
  showChosen();
}

// --- looks and keys

const THEMES = [null, "dark", "light"];

function applyTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}

function changeTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = localStorage.getItem("theme");
  // From what the system says to its opposite, and back.
  const theme = now ? null : dark ? "light" : "dark";
  if (theme) localStorage.setItem("theme", theme);
  else localStorage.removeItem("theme");
  applyTheme(theme);
}

function onKey(event) {
  if (view.isOpen || at("token-dialog").open || event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target === question;
  if (event.key === "/" && !event.target.matches("input:not([type=checkbox], [type=radio]), select")) {
    question.focus();
    question.select();
  } else if (event.key === "Escape" && !typing) {
    question.focus();
  } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && !event.target.matches("select, [type=radio]")) {
    const titles = [...list.querySelectorAll(".title")];
    const place = titles.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1);
    if (!titles.length || (typing && event.key === "ArrowUp")) return;
    if (place < 0) question.focus();
    else (titles[place] ?? titles.at(-1)).focus();
  } else {
    return;
  }
  event.preventDefault();
}

translate();
question.placeholder = message("placeholder");
at("theme").title = message("theme");
at("theme").setAttribute("aria-label", message("theme"));
at("collection").setAttribute("aria-label", message("collection"));
applyTheme(THEMES.includes(localStorage.getItem("theme")) ? localStorage.getItem("theme") : null);
at("filters").open = matchMedia("(min-width: 48rem)").matches;

question.addEventListener("input", (event) => event.isComposing || askSoon());
question.addEventListener("compositionend", askSoon);
at("search").addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
at("modes").addEventListener("change", ask);
at("clear").addEventListener("click", () => filters.clear());
at("theme").addEventListener("click", changeTheme);
at("collection").addEventListener("change", (event) => {
  state.collection = event.target.value;
  filters.restore([]);
  showChosen();
  begin();
});
more.addEventListener("click", () => {
  state.k = Math.min(MOST, state.k + PAGE);
  ask();
});
at("token-form").addEventListener("submit", () => {
  backend.setToken(at("token").value.trim());
  begin();
});
addEventListener("popstate", () => view.isOpen && view.close());
document.addEventListener("keydown", onKey);
linkWords(words, [list, at("document-text")]);

restore();
begin();
