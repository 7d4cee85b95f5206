"""Filters: the meaning of each operator, refusals, and agreement of SQL and Python."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from latelite.errors import FilterError
from latelite.filter_sql import compile_condition, index_expression, register
from latelite.filters import parse, parse_condition


@contextmanager
def catalogue(documents: Iterable[dict[str, Any]] = (), *, spaced: bool = False) -> Iterator[sqlite3.Connection]:
    """A database with the documents' metadata, written as collections do or as ``json.dumps`` by default."""
    with closing(sqlite3.connect(":memory:")) as connection:
        register(connection)
        connection.execute("CREATE TABLE documents (number INTEGER PRIMARY KEY, metadata TEXT)")
        separators = (", ", ": ") if spaced else (",", ":")
        rows = [(number, json.dumps(metadata, separators=separators)) for number, metadata in enumerate(documents)]
        connection.executemany("INSERT INTO documents VALUES (?, ?)", rows)
        yield connection


def selected(
    documents: list[dict[str, Any]], where: Any, *, indexed: tuple[str, ...] = (), spaced: bool = False
) -> list[int]:
    """Numbers of the documents that match, by SQL."""
    with catalogue(documents, spaced=spaced) as connection:
        for number, field in enumerate(indexed):
            connection.execute(f"CREATE INDEX field_{number} ON documents ({index_expression(field)})")
        sql = compile_condition(parse(where), indexed=indexed)
        found = connection.execute(f"SELECT number FROM documents WHERE {sql.text} ORDER BY number", sql.parameters)
        return [number for (number,) in found]


def filtered(documents: list[dict[str, Any]], where: Any) -> list[int]:
    """The same by the predicate; both must agree, with an index and without."""
    condition = parse(where)
    numbers = [number for number, metadata in enumerate(documents) if condition.matches(metadata)]
    assert selected(documents, where) == numbers
    assert selected(documents, where, spaced=True) == numbers
    assert selected(documents, where, indexed=("a", "year", "lang")) == numbers
    return numbers


VALUES: list[Any] = [
    {"a": value}
    for value in (1, 1.0, True, "1", None, [], ["x", "y"], "x", "a\0b", "a", 0, False, {"n": 1}, [1, "x"], 2.5, "é", "")
] + [{}]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"a": 1}, [1, 1.0]),
        ({"a": True}, [True]),
        ({"a": "1"}, ["1"]),
        ({"a": None}, [None]),
        ({"a": "a"}, ["a"]),
        ({"a": ("x", "y")}, [["x", "y"], "x"]),
        ({"a": {"$eq": ["x", "y"]}}, [["x", "y"]]),
        ({"a": {"n": 1.0}}, [{"n": 1}]),
        ({"a": {"$in": ["x", 0, None]}}, [None, "x", 0]),
        ({"a": {"$in": []}}, []),
        ({"a": {"$gt": 0}}, [1, 1.0, 2.5]),
        ({"a": {"$gte": 0, "$lt": 2}}, [1, 1.0, 0]),
        ({"a": {"$gt": "a"}}, ["x", "a\0b", "é"]),
        ({"a": {"$lte": "1"}}, ["1", ""]),
        ({"a": {"$lt": True}}, [False]),
        ({"a": {"$contains": "x"}}, [["x", "y"], "x", [1, "x"]]),
        ({"a": {"$contains": 1}}, [[1, "x"]]),
        ({"a": {"$contains": "\0"}}, ["a\0b"]),
        ({"$or": [{"a": 2.5}, {"a": "é"}]}, [2.5, "é"]),
        ({"$and": [{"a": {"$gt": 0}}, {"$not": {"a": 1}}]}, [2.5]),
        ({"$or": []}, []),
        ({"b": 1}, []),
    ],
)
def test_operators(where: dict[str, Any], expected: list[Any]) -> None:
    found = [VALUES[number]["a"] for number in filtered(VALUES, where)]
    assert [(type(v), v) for v in found] == [(type(v), v) for v in expected]


def test_missing_fields_match_ne_nin_not_and_exists_false() -> None:
    documents: list[dict[str, Any]] = [{"a": 1}, {"a": None}, {}, {"b": 1}]
    assert filtered(documents, {"a": {"$ne": 1}}) == [1, 2, 3]
    assert filtered(documents, {"a": {"$nin": [1, None]}}) == [2, 3]
    assert filtered(documents, {"a": {"$exists": False}}) == [2, 3]
    assert filtered(documents, {"a": {"$exists": True}}) == [0, 1]
    assert filtered(documents, {"a": {"$not": {"$gt": 0}}}) == [1, 2, 3]
    assert filtered(documents, {"a": {"$lt": 5}}) == [0]
    assert filtered(documents, {}) == [0, 1, 2, 3]


def test_a_list_asks_for_one_of_its_values_or_for_itself() -> None:
    documents: list[dict[str, Any]] = [{"lang": "de"}, {"lang": "en"}, {"lang": "fr"}, {"lang": ["de", "en"]}]
    assert filtered(documents, {"lang": ["de", "en"]}) == [0, 1, 3]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"year": {"$above": 1}}, r"unknown operator '\$above'"),
        ({"$nor": []}, r"unknown operator '\$nor'"),
        ({"year": {"$gte": 1, "lte": 2}}, "unknown operator 'lte'"),
        ({"year": {"$gte": None}}, "a number, a string or a boolean"),
        ({"year": {"$gte": [1]}}, "a number, a string or a boolean"),
        ({"year": {"$in": "de"}}, "takes a list"),
        ({"year": {"$nin": 4}}, r"\$nin of 'year' takes a list"),
        ({"year": {"$exists": 1}}, "True or False"),
        ({"$and": {"a": 1}}, "list of filters"),
        ({"$not": 3}, "must be a mapping"),
        (["a"], "must be a mapping"),
        ("year=1", "must be a mapping"),
        ({1: 2}, "name must be a string"),
        ({"a": float("nan")}, "JSON"),
        ({"a": b"x"}, "JSON"),
        ({"a": object()}, "JSON"),
    ],
)
def test_what_is_no_filter_is_refused_in_one_sentence(where: Any, message: str) -> None:
    with pytest.raises(FilterError, match=message) as caught:
        parse(where)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_depth_and_width_have_no_surprises() -> None:
    where: dict[str, Any] = {"a": 1}
    for _ in range(60):
        where = {"$not": where}
    with pytest.raises(FilterError, match="levels deep"):
        parse(where)
    documents = [{"a": number} for number in range(3)]
    assert filtered(documents, {"$or": [{"a": number} for number in range(1, 3000)]}) == [1, 2]
    assert filtered(documents, {"$or": [{"a": number} for number in range(1, 5000)]}) == [1, 2]
    assert filtered(documents, {"a": {"$in": list(range(1, 20_000))}}) == [1, 2]


def test_numpy_scalars_are_what_they_hold() -> None:
    documents: list[dict[str, Any]] = [{"a": 1}, {"a": True}, {"a": "x"}]
    assert filtered(documents, {"a": np.int64(1)}) == [0]
    assert filtered(documents, {"a": np.bool_(True)}) == [1]
    assert filtered(documents, {"a": {"$in": np.array([1, 2])}}) == [0]


names = st.sampled_from(["a", "b c", "é", "a.b", 'q"q', "it's", "", "\0", "\ud800", "😀", "[0]"])
numbers = (
    st.integers(-3, 3)
    | st.integers()
    | st.sampled_from([2**53, 2**53 + 1, 2**63, 2**63 - 1, -(2**63), 10**30, 1e16, 1e300, -0.0, 0.1 + 0.2, 0.3])
    | st.floats(allow_nan=False, allow_infinity=False)
)
strings = st.text(alphabet='ab,]"\\[{\0\ud800é😀 !', max_size=4) | st.sampled_from(["true", "1", "null", "a"])
scalars = st.none() | st.booleans() | numbers | strings
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=2), max_leaves=5
)
leaves = st.one_of(
    st.builds(lambda n, v: {n: v}, names.filter(lambda n: not n.startswith("$")), values),
    st.builds(lambda n, o, v: {n: {o: v}}, names, st.sampled_from(["$eq", "$ne", "$contains"]), values),
    st.builds(
        lambda n, o, v: {n: {o: v}},
        names,
        st.sampled_from(["$gt", "$gte", "$lt", "$lte"]),
        numbers | strings | st.booleans(),
    ),
    st.builds(lambda n, o, v: {n: {o: v}}, names, st.sampled_from(["$in", "$nin"]), st.lists(values, max_size=3)),
    st.builds(lambda n, v: {n: {"$exists": v}}, names, st.booleans()),
)
wheres = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda parts: {"$and": parts}, st.lists(inner, max_size=3)),
        st.builds(lambda parts: {"$or": parts}, st.lists(inner, max_size=3)),
        st.builds(lambda part: {"$not": part}, inner),
    ),
    max_leaves=4,
)


@given(st.lists(st.dictionaries(names, values, max_size=3), max_size=4), wheres, st.data())
@settings(max_examples=300, deadline=None)
@example([{"a": 10**30}], {"a": {"$lt": 10**30 + 1}}, None)
@example([{"a": 0.1 + 0.2}], {"a": {"$gt": 0.3}}, None)
@example([{"a": ["x", "y"]}], {"a": {"$contains": ","}}, None)
def test_sql_and_python_mean_the_same(
    documents: list[dict[str, Any]], where: dict[str, Any], data: st.DataObject | None
) -> None:
    condition = parse(where)
    if data is not None and documents:  # what was drawn for the filter is among the documents more often
        leaf = where if not any(key.startswith("$") for key in where) else {}
        for field, wanted in leaf.items():
            operand = next(iter(wanted.values())) if isinstance(wanted, dict) and wanted else wanted
            documents = [*documents, {field: operand}, {field: [operand]}]
    expected = [number for number, metadata in enumerate(documents) if condition.matches(metadata)]
    assert selected(documents, where) == expected
    assert selected(documents, where, indexed=("a", "a.b", "it's")) == expected


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("year=1999", {"year": {"$eq": 1999}}),
        ("year==1999", {"year": {"$eq": 1999}}),
        ("year>=1999", {"year": {"$gte": 1999}}),
        ("year < 1999.5", {"year": {"$lt": 1999.5}}),
        ("done=true", {"done": {"$eq": True}}),
        ("lang!=de", {"lang": {"$ne": "de"}}),
        ("x=null", {"x": {"$eq": None}}),
        ('code="1999"', {"code": {"$eq": "1999"}}),
        ("path=a=b", {"path": {"$eq": "a=b"}}),
        ("a b=c d", {"a b": {"$eq": "c d"}}),
        ("title=", {"title": {"$eq": ""}}),
        ("x=NaN", {"x": {"$eq": "NaN"}}),
        ("tags=[1, 2]", {"tags": {"$eq": [1, 2]}}),
        ("tags~=x", {"tags": {"$contains": "x"}}),
        ("tags~=5", {"$or": [{"tags": {"$contains": 5}}, {"tags": {"$contains": "5"}}]}),
    ],
)
def test_conditions_of_the_command_line(text: str, where: dict[str, Any]) -> None:
    assert parse_condition(text) == where
    parse(where)


@pytest.mark.parametrize("text", ["year", "=5", "", ">=3"])
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(FilterError, match="FIELD=VALUE"):
        parse_condition(text)


def test_an_index_rules_most_documents_out() -> None:
    with catalogue() as connection:
        connection.execute(f"CREATE INDEX by_year ON documents ({index_expression('year')})")
        for where in ({"year": 1999}, {"year": {"$gte": 1999}}, {"year": {"$in": [1, 2]}}, {"year": "x"}):
            sql = compile_condition(parse(where), indexed=("year",))
            query = f"EXPLAIN QUERY PLAN SELECT number FROM documents WHERE {sql.text}"
            assert "by_year" in str(connection.execute(query, sql.parameters).fetchall()), where
    with pytest.raises(ValueError, match="cannot be indexed"):
        index_expression('a"b')


def test_many_documents_are_filtered_faster_than_they_could_be_read() -> None:
    """By processor time, which is independent of other processes; the benchmark measures the duration."""
    documents = [
        {"year": 1900 + n % 120, "lang": ("de", "en")[n % 2], "tags": ["x", str(n % 50)]} for n in range(50_000)
    ]
    texts = list(map(json.dumps, documents))
    with catalogue(documents) as connection:
        for where in (
            {"year": 1999},
            {"year": {"$gte": 1999}},
            {"tags": {"$contains": "7"}},
            {"lang": {"$in": ["de"]}},
        ):
            condition, sql = parse(where), compile_condition(parse(where))
            start = time.process_time()
            found = connection.execute(f"SELECT number FROM documents WHERE {sql.text}", sql.parameters).fetchall()
            between = time.process_time()
            expected = [number for number, text in enumerate(texts) if condition.matches(json.loads(text))]
            assert [number for (number,) in found] == expected
            assert between - start < time.process_time() - between, where
