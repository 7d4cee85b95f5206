"""A filter keeps the same documents in JavaScript as in Python."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from latelite import Collection
from latelite.errors import FilterError
from latelite.filters import parse
from latelite.web.writer import write_site

from .conftest import Ask

VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 1.0, 1.5, 2**40, "", "a", "b", "é", "\U0001f600", "\uffff", "1", [], [1, "a"], ["a"],
    {}, {"a": 1}, {"a": [1, None]}, "constructor",
)  # fmt: skip
FIELDS = ("x", "y", "constructor", "__proto__", "é")
OPERATORS = ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$contains", "$exists")


def _filter(chance: random.Random, depth: int = 0) -> Any:
    kind = chance.random()
    if depth < 3 and kind < 0.3:
        parts = [_filter(chance, depth + 1) for _ in range(chance.randrange(3))]
        return {chance.choice(("$and", "$or")): parts}
    if depth < 3 and kind < 0.4:
        return {"$not": _filter(chance, depth + 1)}
    field = chance.choice(FIELDS)
    if kind < 0.55:
        return {field: chance.choice(VALUES)}
    name = chance.choice(OPERATORS)
    operand = chance.choice(VALUES)
    if name in ("$in", "$nin"):
        operand = [chance.choice(VALUES) for _ in range(3)]
    if name == "$exists":
        operand = chance.random() < 0.5
    return {field: {name: operand}}


@pytest.fixture(scope="module")
def site(bundle: Callable[[str], Path], assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filters")
    chance = random.Random(1)
    with Collection(folder / "notes.lt", bundle("bert-pylate")) as collection:
        metadata = [
            {field: chance.choice(VALUES) for field in FIELDS if chance.random() < 0.6 and field != "__proto__"}
            for _ in range(60)
        ]
        collection.add(list(range(60)), ["A text."] * 60, metadata)
        write_site(collection, folder / "site", assets=assets)
    return folder


def test_filters_keep_the_same_documents(site: Path, ask: Ask) -> None:
    chance = random.Random(2)
    wheres = [_filter(chance) for _ in range(400)]
    answers = ask(site / "site", *(("matching", where) for where in wheres), errors=True)
    with Collection(site / "notes.lt", read_only=True) as collection:
        metadata = [document.metadata for document in collection]
    for where, answer in zip(wheres, answers, strict=True):
        try:
            condition = parse(where)
        except FilterError:
            assert answer["error"]["name"] == "QueryError", (where, answer)
            continue
        kept = [number for number, fields in enumerate(metadata) if condition.matches(fields)]
        assert answer.get("result") == kept, (json.dumps(where), answer)


@pytest.mark.parametrize(
    ("where", "word"),
    [({"x": {"$near": 1}}, "$near"), ({"$xor": []}, "$xor"), ({"x": {"$in": 1}}, "$in"), (["x"], "filter")],
)
def test_what_is_no_filter_is_refused_by_name(site: Path, ask: Ask, where: Any, word: str) -> None:
    (answer,) = ask(site / "site", ("search", "a text", {"where": where}), errors=True)
    assert answer["error"]["name"] == "QueryError"
    assert word in answer["error"]["message"]
