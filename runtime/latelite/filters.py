"""Filters on metadata: ``where={"year": {"$gte": 2020}, "lang": {"$in": ["de", "nl"]}}``.

| condition | matches a document whose field |
|---|---|
| ``{"lang": "de"}``, ``{"lang": {"$eq": "de"}}`` | equals the value |
| ``{"lang": ["de", "nl"]}`` | equals the list, or one of its values |
| ``$ne``, ``$nin`` | does not equal the value, or any of the list; also where the field is missing |
| ``$gt $gte $lt $lte`` | is ordered so: numbers, strings by code points, false before true |
| ``$in`` | equals one of the list's values |
| ``$contains`` | is a list with this value, or a string with this part |
| ``$exists`` | is there, or with ``False`` is missing |
| ``$and``, ``$or`` (lists of conditions), ``$not`` (a condition) | |

Values are typed as in JSON: ``True`` is not 1, ``"1"`` is not 1, 1 is 1.0, null is a value, a tuple is a list. Several
fields, and several operators of one field, must all match. What is not a condition is refused.

`latelite.filter_sql` gives the same condition as SQL.
"""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from latelite.errors import FilterError

OPERATORS = ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$contains", "$exists")
"""Of a field. ``$and``, ``$or`` and ``$not`` join conditions."""
ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}
_DEEPEST = 50
_MISSING = object()
_CONDITION = re.compile(r"\s*(?P<field>.*?)\s*(?P<sign>!=|>=|<=|~=|==|=|>|<)\s*(?P<value>.*)", re.DOTALL)
_SIGNS = {"=": "$eq", "==": "$eq", "!=": "$ne", ">": "$gt", ">=": "$gte", "<": "$lt", "<=": "$lte"}


@dataclass(frozen=True)
class Leaf:
    """A condition on one field."""

    field: str
    operator: str
    """One of `OPERATORS`, but neither ``$ne`` nor ``$nin``: these are `Not`."""
    operand: Any
    """JSON; for ``$in`` a list."""

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        value = metadata.get(self.field, _MISSING)
        if self.operator == "$exists":
            return (value is not _MISSING) is self.operand
        if value is _MISSING:
            return False
        if self.operator == "$eq":
            return equal(value, self.operand)
        if self.operator == "$in":
            return any(equal(value, each) for each in self.operand)
        if self.operator == "$contains":
            if isinstance(value, list | tuple):
                return any(equal(each, self.operand) for each in value)
            return isinstance(value, str) and isinstance(self.operand, str) and self.operand in value
        return bool(_kind(value) == _kind(self.operand) and ORDERS[self.operator](value, self.operand))


@dataclass(frozen=True)
class AllOf:
    """Every one of the parts; with none, everything."""

    parts: tuple[Condition, ...]

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        return all(part.matches(metadata) for part in self.parts)


@dataclass(frozen=True)
class AnyOf:
    """One of the parts at least; with none, nothing."""

    parts: tuple[Condition, ...]

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        return any(part.matches(metadata) for part in self.parts)


@dataclass(frozen=True)
class Not:
    """Not the part."""

    part: Condition

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        return not self.part.matches(metadata)


Condition = Leaf | AllOf | AnyOf | Not


def to_json(condition: Condition) -> str:
    """A text that `parse` makes the condition of again, once it is read as JSON."""
    return json.dumps(_mapping(condition))


def parse(where: Mapping[str, Any]) -> Condition:
    """A filter, checked; ``.matches(metadata)`` of the result decides about a document.

    Raises:
        FilterError: an operator is unknown, or its value cannot be one; names both.
    """
    return _parsed(where, 0)


def equal(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same."""
    if _kind(one) != _kind(other):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(equal(value, other[key]) for key, value in one.items())
    return bool(one == other)


def parse_condition(text: str) -> dict[str, Any]:
    """A filter from a command line: ``year=1999``, ``year>=1999``, ``lang!=de``, ``done=true``, ``tags~=x``.

    The value is JSON where it can be read as that, and else a string: ``"1999"`` in quotation marks is a string. ``~=``
    is ``$contains``; a number may then be one of a list or a part of a string.

    Raises:
        FilterError: there is no field or no operator.
    """
    found = _CONDITION.fullmatch(text)
    if found is None or not found["field"]:
        raise FilterError(f"{text!r} is no condition; write FIELD=VALUE, or != > >= < <= ~= (contains) in place of =.")
    field, sign, written = found["field"], found["sign"], found["value"]
    try:
        value = json.loads(written, parse_constant=_refuse)
    except (ValueError, RecursionError):
        value = written
    if sign != "~=":
        return {field: {_SIGNS[sign]: value}}
    if isinstance(value, str):
        return {field: {"$contains": value}}
    return {"$or": [{field: {"$contains": value}}, {field: {"$contains": written}}]}


def _parsed(where: Any, depth: int) -> Condition:
    if not isinstance(where, Mapping):
        raise FilterError(f"a filter must be a mapping such as {{'year': {{'$gte': 2020}}}}, not {where!r}.")
    if depth > _DEEPEST:
        raise FilterError(f"the filter is nested more than {_DEEPEST} levels deep.")
    parts: list[Condition] = []
    for field, wanted in where.items():
        if not isinstance(field, str):
            raise FilterError(f"a field's name must be a string, not {field!r}.")
        if field in ("$and", "$or"):
            if not isinstance(wanted, list | tuple):
                raise FilterError(f"{field} takes a list of filters, not {wanted!r}.")
            joined = tuple(_parsed(each, depth + 1) for each in wanted)
            parts.append(AllOf(joined) if field == "$and" else AnyOf(joined))
        elif field == "$not":
            parts.append(Not(_parsed(wanted, depth + 1)))
        elif field.startswith("$"):
            raise FilterError(_unknown(field))
        else:
            parts.append(_of_field(field, wanted, depth + 1))
    return parts[0] if len(parts) == 1 else AllOf(tuple(parts))


def _of_field(field: str, wanted: Any, depth: int) -> Condition:
    """The condition on a field: a value, or operators with their values."""
    if not isinstance(wanted, Mapping) or not any(isinstance(key, str) and key.startswith("$") for key in wanted):
        value = _json(wanted, field)
        same = Leaf(field, "$eq", value)
        return AnyOf((same, Leaf(field, "$in", value))) if isinstance(value, list) else same
    parts: list[Condition] = []
    for name, operand in wanted.items():
        if name == "$not":
            if depth > _DEEPEST:
                raise FilterError(f"the filter is nested more than {_DEEPEST} levels deep.")
            parts.append(Not(_of_field(field, operand, depth + 1)))
        elif name not in OPERATORS:
            raise FilterError(_unknown(name))
        elif name == "$ne":
            parts.append(Not(_leaf(field, "$eq", operand)))
        elif name == "$nin":
            parts.append(Not(_leaf(field, "$in", operand, name)))
        else:
            parts.append(_leaf(field, name, operand))
    return parts[0] if len(parts) == 1 else AllOf(tuple(parts))


def _mapping(condition: Condition) -> dict[str, Any]:
    if isinstance(condition, Leaf):
        return {condition.field: {condition.operator: condition.operand}}
    if isinstance(condition, Not):
        return {"$not": _mapping(condition.part)}
    return {"$and" if isinstance(condition, AllOf) else "$or": [_mapping(part) for part in condition.parts]}


def _leaf(field: str, name: str, operand: Any, shown: str | None = None) -> Leaf:
    value = _json(operand, field)
    if name == "$in" and not isinstance(value, list):
        raise FilterError(f"{shown or name} of {field!r} takes a list of values, not {operand!r}.")
    if name == "$exists" and not isinstance(value, bool):
        raise FilterError(f"$exists of {field!r} takes True or False, not {operand!r}.")
    if name in ORDERS and _kind(value) not in ("number", "string", "boolean"):
        raise FilterError(f"{name} of {field!r} takes a number, a string or a boolean, not {operand!r}.")
    return Leaf(field, name, value)


def _json(value: Any, field: str) -> Any:
    """The value as JSON has it; NumPy's scalars as Python's.

    Raises:
        FilterError: JSON has no such value.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _json(each, field) for key, each in value.items()}
    if isinstance(value, Collection) and not isinstance(value, Mapping | bytes | bytearray | memoryview):
        return [_json(each, field) for each in value]
    raise FilterError(f"{value!r}, asked of the field {field!r}, is nothing that JSON can hold.")


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    if value is None:
        return "null"
    return "object" if isinstance(value, Mapping) else "list"


def _unknown(name: object) -> str:
    return f"unknown operator {name!r} in a filter; there are {' '.join(OPERATORS)} and $and $or $not."


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")
