"""Promises of every public class: types, and whether threads may share it."""

from __future__ import annotations

import importlib
import inspect
import typing
from collections.abc import Iterator
from typing import Any

import pytest

import latelite
from latelite import indexes, models, rank, retrieve
from latelite.integrations.shards import Shards

CLASSES = [
    *(getattr(latelite, name) for name in latelite.__all__ if name[0].isupper()),
    *(getattr(indexes, name) for name in ("TokenIndex", "Exact", "IVF", "HNSW", "PLAID", "Voyager")),
    models.ColBERT,
    retrieve.ColBERT,
    Shards,
]
INTEGRATIONS = ("haystack", "langchain", "llamaindex", "mteb")


@pytest.mark.parametrize("public", CLASSES, ids=lambda each: f"{each.__module__}.{each.__name__}")
def test_every_class_says_whether_threads_may_share_it(public: type) -> None:
    assert "thread" in (public.__doc__ or "")


@pytest.mark.parametrize("name", INTEGRATIONS)
def test_the_classes_of_integrations_say_so_too(name: str) -> None:
    try:
        module = importlib.import_module(f"latelite.integrations.{name}")
    except ImportError as error:
        pytest.skip(str(error))
    for public in vars(module).values():
        if inspect.isclass(public) and public.__module__ == module.__name__ and public.__name__.startswith("Latelite"):
            assert "thread" in (public.__doc__ or ""), public


def functions() -> Iterator[tuple[str, Any]]:
    """All public functions and methods, by name."""
    for public in CLASSES:
        for name, value in inspect.getmembers(public):
            if not name.startswith("_") or name in ("__call__", "__iter__"):
                function = value.fget if isinstance(value, property) else value
                if inspect.isfunction(function) and function.__module__.startswith("latelite"):
                    yield f"{public.__name__}.{name}", function
    yield "rank.rerank", rank.rerank


@pytest.mark.parametrize(("name", "function"), list(functions()))
def test_nothing_returns_any_without_overloads_that_say_what(name: str, function: Any) -> None:
    for form in typing.get_overloads(function) or [function]:
        assert form.__annotations__["return"] not in ("Any", "list[Any]"), name
