"""After any edits, renames, deletions, runs and kills, a completed run gives the same collection as a first run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from latelite import Collection
from latelite.models import ColBERT
from latelite.sources.target import CollectionTarget

NAMES = ["a.md", "b.txt", "sub/a.md", "sub/c.rst", "d.md", "sub/deep/e.txt"]
PARAGRAPHS = [
    "# Bread\n\nBread needs rye flour and time.",
    "The train to the north leaves at seven. " * 12,
    "## Garden\n\nWater the garden in the evening. Not at noon.",
    "A letter came in winter. It said nothing.",
    "Every book on the table is about stones. " * 6,
]
STEPS = st.one_of(
    st.tuples(st.just("write"), st.sampled_from(NAMES), st.lists(st.sampled_from(PARAGRAPHS), max_size=5)),
    st.tuples(st.just("insert"), st.sampled_from(NAMES), st.sampled_from(PARAGRAPHS)),
    st.tuples(st.just("delete"), st.sampled_from(NAMES)),
    st.tuples(st.just("rename"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
    st.tuples(
        st.just("records"),
        st.sampled_from(["x.jsonl", "y.jsonl"]),
        st.dictionaries(st.integers(0, 5), st.sampled_from("pqr")),
    ),
    st.tuples(st.just("run")),
    st.tuples(st.just("killed"), st.integers(0, 3)),
    st.tuples(st.just("part")),
)


class Killed(BaseException):
    """The process ends here."""


def change(folder: Path, step: tuple[Any, ...]) -> None:
    """One step of the user."""
    kind, path = step[0], folder / step[1]
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "write":
        path.write_text("\n\n".join(step[2]))
    elif kind == "insert":
        path.write_text(step[2] + "\n\n" + (path.read_text() if path.exists() else ""))
    elif kind == "delete":
        path.unlink(missing_ok=True)
    elif kind == "rename" and path.exists():
        (folder / step[2]).parent.mkdir(parents=True, exist_ok=True)
        path.replace(folder / step[2])
    elif kind == "records":
        # Ids of the two files differ: which of two equal ones stays depends on the order of the runs.
        lines = [json.dumps({"id": f"{path.stem}{n}", "text": t, "n": n}) for n, t in step[2].items()]
        path.write_text("\n".join(lines))


def content(collection: Collection) -> dict[Any, Any]:
    return {document.id: (document.text, dict(document.metadata)) for document in collection}


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, min_size=3, max_size=12))
def test_a_collection_is_what_one_made_from_nothing_is(
    steps: list[tuple[Any, ...]], tmp_path_factory: pytest.TempPathFactory, model: ColBERT
) -> None:
    root = tmp_path_factory.mktemp("random")
    folder = root / "notes"
    folder.mkdir()
    written = CollectionTarget.apply
    with Collection(root / "notes.lt", model) as collection:
        collection.add(["mine"], ["a document of other origin"])
        for step in steps:
            if step[0] == "run":
                collection.add_files(folder)
            elif step[0] == "part" and (folder / "sub").exists():
                collection.add_files(folder, folder / "sub")
            elif step[0] == "killed":
                _run_that_is_killed(collection, folder, after=step[1], written=written)
            elif step[0] != "part":
                change(folder, step)
        report = collection.add_files(folder)
        again = collection.add_files(folder)
        assert report.documents == len(collection)
        assert (again.added, again.moved, again.removed) == (0, 0, 0)
        found = content(collection)
        assert found.pop("mine") == ("a document of other origin", {})
        with Collection(root / "fresh.lt", model) as fresh:
            fresh.add_files(folder)
            assert found == content(fresh)
        collection.verify()
    shutil.rmtree(root)


def _run_that_is_killed(collection: Collection, folder: Path, *, after: int, written: Callable[..., None]) -> None:
    """A run that ends in the middle of a write; earlier groups are committed."""
    done = 0

    def apply(target: CollectionTarget, *arguments: Any) -> None:
        nonlocal done
        if done == after:
            raise Killed
        done += 1
        written(target, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CollectionTarget, "apply", apply)
        patch.setattr("latelite.sources.sync.GROUP_DOCUMENTS", 2)
        try:
            collection.add_files(folder)
        except Killed:
            return
