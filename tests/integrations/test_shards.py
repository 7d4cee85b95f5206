"""Several collections searched as one: the answer of one collection with all documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from latelite import Collection
from latelite.errors import IndexMismatchError, IndexNotFoundError, UnknownIdError
from latelite.integrations.shards import Shards
from latelite.models import ColBERT

from .examples import run_example, run_line

THINGS = ("rye bread", "night trains", "tax returns", "tomatoes", "bicycles", "old books", "sailing")
ANGLES = ("in winter", "for beginners", "and the weather", "at a good price", "in the north")
TEXTS = [f"A note about {thing} {angle}." for thing in THINGS for angle in ANGLES]
QUESTIONS = ("Brot backen", "vélo en hiver", "treno di notte", "cheap tomatoes", "zzz")
CUTS = (0, 11, 13, len(TEXTS))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, encoder: ColBERT) -> Iterator[tuple[Collection, Shards]]:
    root = tmp_path_factory.mktemp("shards")
    metadata = [{"angle": n % len(ANGLES)} for n in range(len(TEXTS))]
    for name, first, last in [("all", 0, len(TEXTS)), *((str(n), CUTS[n], CUTS[n + 1]) for n in range(3))]:
        with Collection(root / f"{name}.lt", encoder) as collection:
            collection.add(list(range(first, last)), TEXTS[first:last], metadata[first:last])
            if first <= 2 < last:
                collection.remove([2])
    with Collection(root / "all.lt", encoder) as whole, Shards([root / f"{n}.lt" for n in range(3)]) as shards:
        yield whole, shards


@pytest.mark.parametrize("mode", ["hybrid", "semantic", "lexical"])
@pytest.mark.parametrize(
    "options", [{}, {"where": {"angle": {"$gte": 3}}}, {"group_by": "angle"}, {"explain": True}, {"min_score": 0.3}]
)
def test_a_sharded_answer_equals_the_unsharded_one(
    both: tuple[Collection, Shards], mode: Any, options: dict[str, Any]
) -> None:
    whole, shards = both
    assert len(shards) == len(whole) == len(TEXTS) - 1
    assert shards.search_batch(QUESTIONS, 10, mode=mode, **options) == whole.search_batch(
        QUESTIONS, 10, mode=mode, **options
    )


def test_documents_are_found_in_whichever_shard_has_them(both: tuple[Collection, Shards]) -> None:
    _, shards = both
    assert [shards.get(n).text for n in (0, 12, 34)] == [TEXTS[n] for n in (0, 12, 34)]
    assert shards.count({"angle": 0}) == 7
    with pytest.raises(UnknownIdError, match="no shard"):
        shards.get(2)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    with pytest.raises(IndexNotFoundError, match=r"none\.lt"):
        Shards([tmp_path / "none.lt"])
    with pytest.raises(ValueError, match="one collection"):
        Shards([])


def test_a_shard_that_is_reindexed_while_open_is_followed(
    tmp_path: Path, encoder: ColBERT, bundle: Callable[[str], Path]
) -> None:
    folders = [tmp_path / "a.lt", tmp_path / "b.lt"]
    for folder, half in zip(folders, (TEXTS[:20], TEXTS[20:]), strict=True):
        with Collection(folder, encoder) as collection:
            collection.add([f"{folder.stem}{n}" for n in range(len(half))], half)

    def reindex(folder: Path, **options: Any) -> None:
        with Collection(folder) as collection:  # as another process would
            collection.reindex(**options)

    with Shards(folders) as shards:
        before = shards.search("vélo en hiver", 10)
        reindex(folders[1], index="Exact")
        assert shards.search("vélo en hiver", 10) == before
        assert [shard.index_kind for shard in shards.collections] == ["IVF", "Exact"]
        other = bundle("bert-pylate")
        for first in (1, 0):  # whichever shard has the new model, questions of another one are not put to it
            reindex(folders[first], model=other)
            if first == 1:
                with pytest.raises(IndexMismatchError, match="reindex all shards"):
                    shards.search("vélo en hiver", 10)
        found = shards.search("vélo en hiver", 10, mode="semantic")
        with Shards(folders) as opened:
            assert found == opened.search("vélo en hiver", 10, mode="semantic")
        assert shards.model.dim != encoder.dim


def test_the_documentations_examples_run(project: Path) -> None:
    for name in ("a.lt", "b.lt"):
        with Collection(name, "models/default-onnx") as collection:
            collection.add([name], [f"In {name}, the night train leaves at seven."])
    for found in (run_example("latelite.integrations.shards")["hits"], run_line("Shards([")):
        assert {hit.id for hit in found} == {"a.lt", "b.lt"}
