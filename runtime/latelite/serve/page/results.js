// The list of hits, and the words of the question above it.

import { appendMarked, excerptOf, pick, placed } from "./highlight.js";
import { message, number } from "./messages.js";

const EXCERPT = 360;
const SHOWN_FIELDS = 4;
const TITLES = ["title", "name", "subject", "path"];

/** What a document is called: one of the usual fields of metadata, or its id. */
export function titleOf({ id, metadata }) {
  const field = TITLES.find((name) => typeof metadata[name] === "string" && metadata[name].trim());
  return field ? metadata[field] : String(id);
}

/** Short values of metadata besides the title: `[field, text]`. */
export function fieldsOf({ id, metadata }) {
  const title = titleOf({ id, metadata });
  return Object.entries(metadata)
    .map(([field, value]) => [field, Array.isArray(value) ? value.join(", ") : typeof value === "object" ? JSON.stringify(value) : String(value)])
    .filter(([, text]) => text !== title && text !== "null");
}

/** Show hits; `onOpen` is told the number of the one that is opened. */
export function showHits(list, hits, words, onOpen) {
  list.replaceChildren(...hits.map((hit, place) => item(hit, place, words, onOpen)));
}

function item(hit, place, words, onOpen) {
  const row = document.createElement("li");
  const title = document.createElement("button");
  title.type = "button";
  title.className = "title";
  title.textContent = titleOf(hit);
  title.addEventListener("click", () => onOpen(place));
  const heading = document.createElement("h2");
  heading.className = "title-line";
  heading.append(title);
  row.append(heading, placeLine(hit));

  const text = document.createElement("p");
  text.className = "excerpt";
  const matches = placed(hit.text, hit.matches ?? []);
  const [start, end] = excerptOf(hit.text, matches, EXCERPT);
  if (start > 0) text.append("… ");
  appendMarked(text, hit.text, matches, words, start, end);
  if (end < hit.text.length) text.append(" …");
  row.append(text);
  return row;
}

function placeLine(hit) {
  const line = document.createElement("div");
  line.className = "place";
  if (typeof hit.score === "number") {
    const meter = document.createElement("meter");
    meter.className = "score";
    meter.max = 1;
    meter.value = Math.max(0, Math.min(1, hit.score));
    const label = message("score", { n: number(hit.score, 2) });
    meter.title = label;
    meter.setAttribute("aria-label", label);
    line.append(meter);
  }
  for (const [field, text] of fieldsOf(hit).filter(([, text]) => text.length <= 60).slice(0, SHOWN_FIELDS)) {
    const value = document.createElement("span");
    value.textContent = `${field}: ${text}`;
    line.append(value);
  }
  return line;
}

/** Show the words of the question as buttons that single out what each of them matched. */
export function showWords(group, words) {
  group.hidden = !words.length;
  group.setAttribute("aria-label", message("words"));
  pick(null);
  group.replaceChildren(
    ...words.map((word, place) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = word;
      button.className = `w${place % 8}`;
      button.setAttribute("aria-pressed", "false");
      button.addEventListener("click", () => {
        const pressed = button.getAttribute("aria-pressed") !== "true";
        for (const other of group.children) other.setAttribute("aria-pressed", String(pressed && other === button));
        pick(pressed ? word : null);
      });
      return button;
    }),
  );
}

/** While the pointer is on a mark, point out the words that it belongs to; on a word, its marks. */
export function linkWords(group, places) {
  const pressed = () => [...group.children].find((button) => button.getAttribute("aria-pressed") === "true")?.textContent ?? null;
  group.addEventListener("pointerover", (event) => event.target.matches("button") && pick(event.target.textContent));
  group.addEventListener("pointerout", () => pick(pressed()));
  for (const place of places) {
    place.addEventListener("pointerover", (event) => {
      if (!event.target.matches("mark") || pressed() !== null) return;
      const words = JSON.parse(event.target.dataset.words);
      for (const button of group.children) button.classList.toggle("linked", words.includes(button.textContent));
    });
    place.addEventListener("pointerout", () => {
      for (const button of group.children) button.classList.remove("linked");
    });
  }
}
