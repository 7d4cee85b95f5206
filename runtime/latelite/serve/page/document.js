// One document, with the passage in its place.

import { appendMarked, placed } from "./highlight.js";
import { message } from "./messages.js";
import { fieldsOf, titleOf } from "./results.js";

const AROUND = 5;

/** The dialog that shows a document. `load(id, around)` brings it, `onMove(step)` goes to another hit, `onClose` is told. */
export class DocumentView {
  #dialog = document.querySelector("#document");
  #text = document.querySelector("#document-text");
  #load;

  constructor({ load, onMove, onClose }) {
    this.#load = load;
    const buttons = { previous: () => onMove(-1), next: () => onMove(1), close: () => this.#dialog.close() };
    for (const [name, act] of Object.entries(buttons)) {
      const button = document.querySelector(`#${name}`);
      button.setAttribute("aria-label", message(name));
      button.title = message(name);
      button.addEventListener("click", act);
    }
    this.#dialog.addEventListener("close", onClose);
    this.#dialog.addEventListener("click", (event) => event.target === this.#dialog && this.#dialog.close());
    this.#dialog.addEventListener("keydown", (event) => {
      if (event.key === "ArrowLeft" || event.key === "k") onMove(-1);
      else if (event.key === "ArrowRight" || event.key === "j") onMove(1);
      else return;
      event.preventDefault();
    });
  }

  get isOpen() {
    return this.#dialog.open;
  }

  close() {
    this.#dialog.close();
  }

  /** Show a hit at once, and what stands around it as soon as it is there. */
  async show(hit, words) {
    this.#fill(hit, words, [], []);
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#text.focus();
    const whole = await this.#load(hit.id, AROUND);
    // The text may have changed since it was found; then the marks would lie elsewhere.
    const shown = whole.text === hit.text ? hit : { ...whole, matches: [] };
    this.#fill(shown, words, whole.before ?? [], whole.after ?? []);
  }

  #fill(hit, words, before, after) {
    document.querySelector("#document-title").textContent = titleOf(hit);
    document.querySelector("#document-fields").replaceChildren(
      ...fieldsOf(hit).map(([field, text]) => {
        const pair = document.createElement("div");
        const name = document.createElement("dt");
        const value = document.createElement("dd");
        name.textContent = field;
        value.textContent = text;
        pair.append(name, value);
        return pair;
      }),
    );
    const here = document.createElement("p");
    here.className = "here";
    if (before.length + after.length) here.setAttribute("aria-label", message("passage"));
    appendMarked(here, hit.text, placed(hit.text, hit.matches ?? []), words);
    this.#text.replaceChildren(...before.map(around), here, ...after.map(around));
    const target = before.length ? here : here.querySelector("mark.s4, mark.s3") ?? here;
    if (before.length || here.offsetHeight > this.#text.clientHeight) target.scrollIntoView({ block: "center" });
  }
}

function around({ text }) {
  const passage = document.createElement("p");
  passage.className = "around";
  passage.textContent = text;
  return passage;
}
