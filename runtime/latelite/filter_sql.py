"""Filters as SQL over a column of JSON objects, with exactly the meaning that `latelite.filters` gives them.

The column must hold what ``json.dumps`` writes by default: ASCII, so that strings are compared as they are written,
``"\\u00e9"`` and all. Decoding them in SQLite would cut them at NUL, make true equal to 1, and fail on lone surrogates.
A number that SQLite reads may differ from Python's in the last bit (1 of 300 with 17 digits does, in SQLite 3.40), so
numbers are equal by how they are written as well. What SQL cannot decide exactly, it asks of Python: a comparison of
strings beyond ASCII, of numbers that nearly touch, or of lists and objects.

What costs is reading the JSON, and once more each function that looks into it. Most documents are ruled out by the text
of their metadata alone: a field that is 7 is written ``"field":7``, or ``"field": 7``. Where the value of an ``AND`` is
asked, and not only whether it holds, SQLite computes both its sides; of a ``CASE`` it computes what it needs.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from latelite.filters import ORDERS, AllOf, AnyOf, Condition, Leaf, Not, parse, to_json

_ASK = "latelite_matches"
_LONGEST = 400_000
_MOST_PARAMETERS = 1000
_FEW = 20
_NEAR = 1e-9
_WHOLE = 2**63
_SIGNS = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}


@dataclass(frozen=True)
class Sql:
    """An expression that is 1 for the rows that match, and its parameters in order."""

    text: str
    parameters: tuple[Any, ...] = ()


def register(connection: sqlite3.Connection) -> None:
    """Teach a connection the function that the expressions call."""
    connection.create_function(_ASK, 2, _matches, deterministic=True)


def compile_condition(condition: Condition, *, column: str = "metadata", indexed: Collection[str] = ()) -> Sql:
    """The condition as SQL, for connections that `register` has been called for.

    Args:
        column: holds the JSON objects.
        indexed: fields that have an index on `index_expression`; what they can rule out is said in its terms as well.
    """
    sql = _compiled(condition, column, indexed)
    if len(sql.text) > _LONGEST or len(sql.parameters) > _MOST_PARAMETERS:  # preparing takes the square
        return _asked(condition, column)
    return sql


def index_expression(field: str, column: str = "metadata") -> str:
    """What to put an index on for a field.

    Raises:
        ValueError: the field's name cannot be part of an index.
    """
    path = _path(field)
    if path is None or not field.isascii():
        raise ValueError(f"the field {field!r} cannot be indexed: its name must be ASCII without quotation marks.")
    return f"json_extract({column}, {path})"


def _compiled(condition: Condition, column: str, indexed: Collection[str]) -> Sql:
    if isinstance(condition, Leaf):
        return _leaf(condition, column, indexed)
    if isinstance(condition, Not):
        part = _compiled(condition.part, column, ())
        return Sql(f"(NOT {part.text})", part.parameters)
    alternatives = condition.parts if isinstance(condition, AllOf) else _gathered(condition)
    parts = [_compiled(part, column, indexed) for part in alternatives]
    if not parts:
        return Sql("1" if isinstance(condition, AllOf) else "0")
    return _joined(parts, " AND " if isinstance(condition, AllOf) else " OR ")


def _gathered(condition: AnyOf) -> list[Condition]:
    """The alternatives, with those that are values of one field in one ``$in``: a list is looked up, not tried."""
    values: dict[str, list[Any]] = {}
    others: list[Condition] = []
    for part in condition.parts:
        if isinstance(part, Leaf) and part.operator in ("$eq", "$in"):
            values.setdefault(part.field, []).extend(part.operand if part.operator == "$in" else [part.operand])
        else:
            others.append(part)
    return [*(Leaf(field, "$in", wanted) for field, wanted in values.items()), *others]


def _joined(parts: list[Sql], word: str) -> Sql:
    """A balanced tree: SQLite limits how deep an expression may be."""
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    left, right = _joined(parts[:middle], word), _joined(parts[middle:], word)
    return Sql(f"({left.text}{word}{right.text})", left.parameters + right.parameters)


def _leaf(leaf: Leaf, column: str, indexed: Collection[str]) -> Sql:
    path = _path(leaf.field)
    if path is None:
        return _asked(leaf, column)
    value, decoded = f"({column} -> {path})", f"json_extract({column}, {path})"
    if not leaf.field.isascii():
        # SQLite below 3.45 compares a name as it is written in the JSON text.
        written = "'$." + json.dumps(leaf.field).replace("'", "''") + "'"
        value, decoded = (
            f"coalesce({value}, {column} -> {written})",
            f"coalesce({decoded}, json_extract({column}, {written}))",
        )
    if leaf.operator == "$exists":
        return Sql(f"({value} IS {'NOT ' if leaf.operand else ''}NULL)")
    if leaf.operator in ("$eq", "$in"):
        exact = _equal(leaf, value, column)
    elif leaf.operator == "$contains":
        exact = _contains(leaf, value, column)
    else:
        exact = _ordered(leaf, value, decoded, column)
    exact = Sql(f"ifnull({exact.text}, 0)", exact.parameters)
    if not leaf.field.isascii():
        return exact
    hint = _hint(leaf, decoded) if leaf.field in indexed else _beginnings(leaf, column)
    return exact if hint is None else Sql(f"({hint.text} AND {exact.text})", hint.parameters + exact.parameters)


def _beginnings(leaf: Leaf, column: str) -> Sql | None:
    """How the field and its value begin in the text of every document that matches; None when that rules out little."""
    operands = leaf.operand if leaf.operator == "$in" else [leaf.operand]
    if leaf.operator not in ("$eq", "$in") or len(operands) > _FEW or any(isinstance(x, list | dict) for x in operands):
        return None
    texts = {text for each in operands for text in _written(each)}
    texts = {text for text in texts if not any(text != other and text.startswith(other) for other in texts)}
    name = json.dumps(leaf.field)
    begin = tuple(f"{name}:{space}{text}" for text in sorted(texts) for space in ("", " "))
    return Sql("(" + " OR ".join([f"instr({column}, ?)"] * len(begin)) + ")", begin) if begin else None


def _equal(leaf: Leaf, value: str, column: str) -> Sql:
    operands = leaf.operand if leaf.operator == "$in" else [leaf.operand]
    texts = [text for each in operands if not isinstance(each, list | dict) for text in _written(each)]
    found = _one_of(value, texts)
    if any(isinstance(each, list) for each in operands):
        found = _or_ask(found, f"{value} GLOB '[[]*'", leaf, column)
    if any(isinstance(each, dict) for each in operands):
        found = _or_ask(found, f"{value} GLOB '{{*'", leaf, column)
    return found


def _one_of(value: str, texts: list[str]) -> Sql:
    if not texts:
        return Sql("0")
    if len(texts) == 1:
        return Sql(f"({value} = ?)", (texts[0],))
    if len(texts) <= _FEW:
        return Sql(f"({value} IN ({', '.join('?' * len(texts))}))", tuple(texts))
    return Sql(f"({value} IN (SELECT value FROM json_each(?)))", (json.dumps(texts),))


def _or_ask(found: Sql, condition: str, leaf: Leaf, column: str) -> Sql:
    asked = _asked(leaf, column)
    return Sql(f"CASE WHEN {condition} THEN {asked.text} ELSE {found.text} END", asked.parameters + found.parameters)


def _ordered(leaf: Leaf, value: str, decoded: str, column: str) -> Sql:
    sign, operand, asked = _SIGNS[leaf.operator], leaf.operand, _asked(leaf, column)
    if isinstance(operand, bool):
        return _one_of(value, [json.dumps(each) for each in (False, True) if ORDERS[leaf.operator](each, operand)])
    if isinstance(operand, str):
        if not _is_plain(operand):
            return Sql(f"({value} GLOB '\"*' AND {asked.text})", asked.parameters)
        # Where nothing is escaped, a string is decoded as it is.
        return Sql(
            f"CASE WHEN instr({column}, '\\') THEN {asked.text} "
            f"WHEN {decoded} {sign} ? THEN {value} GLOB '\"*' ELSE 0 END",
            (*asked.parameters, operand),
        )
    number = _bindable(operand)
    if number is None:
        return Sql(f"({value} GLOB '[-0-9]*' AND {asked.text})", asked.parameters)
    margin = _NEAR * max(abs(float(number)), 1e-300)
    near = Sql(
        f"CASE WHEN NOT {decoded} {sign} ? THEN 0 WHEN abs({decoded} - ?) > ? THEN {value} GLOB '[-0-9]*' "
        f"ELSE {asked.text} END",
        (number + (margin if "<" in sign else -margin), number, margin, *asked.parameters),
    )
    if not isinstance(number, int):
        return near
    # Integers are decoded as they are; but true and false are decoded as 1 and 0.
    is_number = f" AND {value} GLOB '[-0-9]*'" if any(ORDERS[leaf.operator](each, number) for each in (0, 1)) else ""
    return Sql(
        f"CASE WHEN typeof({decoded}) = 'integer' THEN {decoded} {sign} ?{is_number} ELSE {near.text} END",
        (number, *near.parameters),
    )


def _contains(leaf: Leaf, value: str, column: str) -> Sql:
    asked = _asked(leaf, column)
    if isinstance(leaf.operand, list | dict):
        return Sql(f"({value} GLOB '[[]*' AND {asked.text})", asked.parameters)
    # A list with the operand has one of the operand's spellings in it; to have it is not enough.
    texts = [json.dumps(leaf.operand)[1:-1]] if isinstance(leaf.operand, str) else _written(leaf.operand)
    may = " OR ".join([f"instr({column}, ?)"] * len(texts))
    if not isinstance(leaf.operand, str):
        decides = f"CASE WHEN {value} GLOB '[[]*' THEN {asked.text} ELSE 0 END"
        return Sql(f"CASE WHEN {may} THEN {decides} ELSE 0 END", (*texts, *asked.parameters))
    if not _is_plain(leaf.operand):
        return Sql(f"CASE WHEN {may} THEN {asked.text} ELSE 0 END", (*texts, *asked.parameters))
    part, quoted = leaf.operand, f'"{leaf.operand}"'
    decides = (
        # The part has no quotation marks, so it is not found in those around a string.
        f"CASE WHEN instr({column}, '\\') THEN {asked.text} WHEN {value} GLOB '\"*' THEN instr({value}, ?) > 0 "
    )
    parameters: tuple[Any, ...] = (*texts, *asked.parameters, part)
    if part[:1] not in (",", "]"):
        # In a flat list without escapes, a quoted text that begins with neither is an element.
        decides += (
            f"WHEN {value} GLOB '[[]*' AND NOT instr(substr({value}, 2), '[') AND NOT instr({value}, '{{') "
            f"THEN instr({value}, ?) > 0 "
        )
        parameters += (quoted,)
    decides += f"WHEN {value} GLOB '[[]*' THEN {asked.text} ELSE 0 END"
    return Sql(f"CASE WHEN {may} THEN {decides} ELSE 0 END", parameters + asked.parameters)


def _hint(leaf: Leaf, decoded: str) -> Sql | None:
    """What every match fulfils, in terms of the index; None when that cannot be said."""
    if leaf.operator == "$in":
        hints = [_hint(Leaf(leaf.field, "$eq", each), decoded) for each in leaf.operand]
        if not hints or len(hints) > _FEW or None in hints:
            return None
        return _joined([hint for hint in hints if hint is not None], " OR ")
    operand = leaf.operand
    if leaf.operator == "$contains" or operand is None or isinstance(operand, bool | list | dict):
        return None
    if isinstance(operand, str):
        if not _is_plain(operand):
            return None
        sign = {"$eq": "=", "$gt": ">=", "$gte": ">=", "$lt": "<=", "$lte": "<="}[leaf.operator]
        upper = f" AND {decoded} >= ''" if sign == "<=" else ""
        return Sql(f"({decoded} {sign} ?{upper})", (operand,))
    number = _bindable(operand)
    if number is None:
        return None
    margin = _NEAR * max(abs(float(number)), 1e-300)
    low = Sql(f"{decoded} >= ?", (number - margin,))
    high = Sql(f"{decoded} <= ?", (number + margin,))
    if leaf.operator == "$eq":
        return Sql(f"({low.text} AND {high.text})", low.parameters + high.parameters)
    # Numbers come before texts in SQLite's order, so `low` lets texts through; the exact condition does not.
    return Sql(f"({low.text} AND {decoded} < '')", low.parameters) if leaf.operator in ("$gt", "$gte") else high


def _written(value: Any) -> list[str]:
    """How ``json.dumps`` may write a value that equals this one, which is neither list nor object."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return [json.dumps(value)]
    if value == 0:
        return ["0", "0.0", "-0.0"]
    texts = [str(int(value))] if value == int(value) else []
    number = _as_float(value)
    return texts if number is None or number != value else [*texts, repr(number)]


def _bindable(number: int | float) -> int | float | None:
    """A number that SQLite can hold, equal or very near to this one."""
    if isinstance(number, int) and -_WHOLE < number < _WHOLE:
        return number
    return _as_float(number)


def _as_float(number: int | float) -> float | None:
    try:
        return float(number)
    except OverflowError:
        return None


def _is_plain(text: str) -> bool:
    """Whether JSON writes the text as it is."""
    return json.dumps(text) == f'"{text}"'


def _path(field: str) -> str | None:
    """SQL text of the JSON path to a field; None when SQLite could not find it by its name."""
    if not field.isprintable() or '"' in field or "\\" in field or not field:
        return None
    return "'$.\"" + field.replace("'", "''") + "\"'"


def _asked(condition: Condition, column: str) -> Sql:
    return Sql(f"{_ASK}({column}, ?)", (to_json(condition),))


@lru_cache(maxsize=256)
def _known(text: str) -> Condition:
    return parse(json.loads(text))


def _matches(metadata: str, condition: str) -> bool:
    return _known(condition).matches(json.loads(metadata))
