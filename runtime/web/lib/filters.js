/**
 * Filters on metadata, with the meaning of `latelite.filters` in Python: `{year: {$gte: 2020}, lang: {$in: ["de", "nl"]}}`.
 *
 * Values are typed as in JSON: true is not 1, "1" is not 1, null is a value. Unlike types never match an order; `$ne` and
 * `$nin` match documents that lack the field; `$contains` is membership in a list or a part of a string.
 */

import { QueryError } from "./errors.js";

const OPERATORS = ["$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$contains", "$exists"];
const DEEPEST = 50;
const ORDERS = {
  $gt: (sign) => sign > 0,
  $gte: (sign) => sign >= 0,
  $lt: (sign) => sign < 0,
  $lte: (sign) => sign <= 0,
};

/** @typedef {(metadata: Record<string, any>) => boolean} Condition */

/**
 * A filter, checked.
 * @param {Record<string, any> | Condition} where
 * @returns {Condition}
 */
export function parse(where) {
  return typeof where === "function" ? /** @type {Condition} */ (where) : parsed(where, 0);
}

function parsed(where, depth) {
  if (kind(where) !== "object") {
    throw new QueryError(`a filter must be an object such as {"year": {"$gte": 2020}}, not ${shown(where)}.`);
  }
  if (depth > DEEPEST) throw new QueryError(`the filter is nested more than ${DEEPEST} levels deep.`);
  const parts = Object.entries(where).map(([field, wanted]) => {
    if (field === "$and" || field === "$or") {
      if (!Array.isArray(wanted)) throw new QueryError(`${field} takes a list of filters, not ${shown(wanted)}.`);
      const joined = wanted.map((each) => parsed(each, depth + 1));
      return field === "$and" ? allOf(joined) : (metadata) => joined.some((part) => part(metadata));
    }
    if (field === "$not") {
      const part = parsed(wanted, depth + 1);
      return (metadata) => !part(metadata);
    }
    if (field.startsWith("$")) throw new QueryError(unknown(field));
    return ofField(field, wanted, depth + 1);
  });
  return allOf(parts);
}

function ofField(field, wanted, depth) {
  const isOperators = kind(wanted) === "object" && Object.keys(wanted).some((key) => key.startsWith("$"));
  if (!isOperators) {
    checked(wanted, field);
    const same = leaf(field, "$eq", wanted);
    if (!Array.isArray(wanted)) return same;
    const among = leaf(field, "$in", wanted);
    return (metadata) => same(metadata) || among(metadata);
  }
  const parts = Object.entries(wanted).map(([name, operand]) => {
    if (name === "$not") {
      if (depth > DEEPEST) throw new QueryError(`the filter is nested more than ${DEEPEST} levels deep.`);
      const part = ofField(field, operand, depth + 1);
      return (metadata) => !part(metadata);
    }
    if (!OPERATORS.includes(name)) throw new QueryError(unknown(name));
    if (name === "$ne" || name === "$nin") {
      const part = checkedLeaf(field, name === "$ne" ? "$eq" : "$in", operand, name);
      return (metadata) => !part(metadata);
    }
    return checkedLeaf(field, name, operand, name);
  });
  return allOf(parts);
}

function checkedLeaf(field, name, operand, written) {
  checked(operand, field);
  if (name === "$in" && !Array.isArray(operand)) {
    throw new QueryError(`${written} of "${field}" takes a list of values, not ${shown(operand)}.`);
  }
  if (name === "$exists" && typeof operand !== "boolean") {
    throw new QueryError(`$exists of "${field}" takes true or false, not ${shown(operand)}.`);
  }
  if (name in ORDERS && !["number", "string", "boolean"].includes(kind(operand))) {
    throw new QueryError(`${name} of "${field}" takes a number, a string or a boolean, not ${shown(operand)}.`);
  }
  return leaf(field, name, operand);
}

/** @returns {Condition} */
function leaf(field, name, operand) {
  return (metadata) => {
    const there = Object.hasOwn(metadata, field);
    if (name === "$exists") return there === operand;
    if (!there) return false;
    const value = metadata[field];
    if (name === "$eq") return equal(value, operand);
    if (name === "$in") return operand.some((each) => equal(value, each));
    if (name === "$contains") {
      if (Array.isArray(value)) return value.some((each) => equal(each, operand));
      return typeof value === "string" && typeof operand === "string" && value.includes(operand);
    }
    return kind(value) === kind(operand) && ORDERS[name](compare(value, operand));
  };
}

/** @returns {Condition} */
function allOf(parts) {
  return parts.length === 1 ? parts[0] : (metadata) => parts.every((part) => part(metadata));
}

/** Whether two JSON values are the same. */
function equal(one, other) {
  if (kind(one) !== kind(other)) return false;
  if (Array.isArray(one)) return one.length === other.length && one.every((each, place) => equal(each, other[place]));
  if (kind(one) === "object") {
    const keys = Object.keys(one);
    return keys.length === Object.keys(other).length && keys.every((key) => Object.hasOwn(other, key) && equal(one[key], other[key]));
  }
  return one === other;
}

/** Sign of the order of two values of one kind; strings by code points, as Python orders them. */
function compare(one, other) {
  if (typeof one !== "string") return Number(one > other) - Number(one < other);
  const [left, right] = [one[Symbol.iterator](), other[Symbol.iterator]()];
  for (;;) {
    const [a, b] = [left.next(), right.next()];
    if (a.done || b.done) return Number(b.done) - Number(a.done);
    if (a.value !== b.value) return a.value.codePointAt(0) - b.value.codePointAt(0);
  }
}

function kind(value) {
  if (value === null) return "null";
  return Array.isArray(value) ? "list" : typeof value;
}

/** Refuse what JSON cannot hold. */
function checked(value, field) {
  const known = {
    null: () => true,
    boolean: () => true,
    string: () => true,
    number: () => Number.isFinite(value),
    list: () => value.every((each) => checked(each, field)),
    object: () => Object.values(value).every((each) => checked(each, field)),
  }[kind(value)];
  if (!known?.()) throw new QueryError(`${shown(value)}, asked of the field "${field}", is nothing that JSON can hold.`);
  return true;
}

function shown(value) {
  return JSON.stringify(value) ?? String(value);
}

function unknown(name) {
  return `unknown operator ${name} in a filter; there are ${OPERATORS.join(" ")} and $and $or $not.`;
}
