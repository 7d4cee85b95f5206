// What the hits can be narrowed by: values of their metadata.

import { number } from "./messages.js";

/** The chosen values, by field: `Map(field -> {many, values: Set})`. */
export class Filters {
  #chosen = new Map();
  #onChange;

  constructor(node, onChange) {
    this.node = node;
    this.#onChange = onChange;
  }

  /** How many values are chosen. */
  get size() {
    return [...this.#chosen.values()].reduce((sum, { values }) => sum + values.size, 0);
  }

  /** The condition that the chosen values make, null when there are none. */
  get where() {
    const conditions = [...this.#chosen].flatMap(([field, { many, values }]) => {
      const list = [...values];
      if (!list.length) return [];
      if (many) return [{ $or: list.map((value) => ({ [field]: { $contains: value } })) }];
      return [{ [field]: list.length > 1 ? { $in: list } : { $eq: list[0] } }];
    });
    if (!conditions.length) return null;
    return conditions.length > 1 ? { $and: conditions } : conditions[0];
  }

  /** Choose what an address says: `[[field, many, [values]]]`. */
  restore(chosen) {
    this.#chosen = new Map(chosen.map(([field, many, values]) => [field, { many, values: new Set(values) }]));
  }

  /** What `restore` takes. */
  save() {
    return [...this.#chosen].filter(([, { values }]) => values.size).map(([field, { many, values }]) => [field, many, [...values]]);
  }

  /** Choose nothing. */
  clear() {
    this.#chosen.clear();
    for (const box of this.node.querySelectorAll("input")) box.checked = false;
    this.#onChange();
  }

  /** Show fields and values. */
  show(facets) {
    this.node.replaceChildren(
      ...facets.map(({ field, many, values }) => {
        const set = document.createElement("fieldset");
        set.className = "facet";
        const legend = document.createElement("legend");
        legend.textContent = field;
        set.append(legend, ...values.map(({ value, count }) => this.#choice(field, many, value, count)));
        return set;
      }),
    );
  }

  #choice(field, many, value, count) {
    const label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = this.#chosen.get(field)?.values.has(value) ?? false;
    box.addEventListener("change", () => {
      if (!this.#chosen.has(field)) this.#chosen.set(field, { many, values: new Set() });
      this.#chosen.get(field).values[box.checked ? "add" : "delete"](value);
      this.#onChange();
    });
    const name = document.createElement("span");
    name.textContent = String(value);
    const total = document.createElement("span");
    total.className = "count";
    total.textContent = number(count);
    label.append(box, name, total);
    return label;
  }
}
