"""Problems that users reported with similar software, as scenarios for this one."""

from __future__ import annotations

import enum
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from latelite import Collection, rank
from latelite.errors import FilterError, InvalidVectorsError
from latelite.files import sha256
from latelite.models import ColBERT

Run = Callable[..., tuple[int, str, str]]


class Name(str, enum.Enum):  # noqa: UP042  # as it was written before StrEnum
    A = "a"


def test_ids_of_a_string_enumeration_are_its_values(tmp_path: Path, model: ColBERT) -> None:
    with Collection(tmp_path / "notes.lt", model) as notes:
        notes.add([Name.A], ["a text"])
        assert notes.ids == ["a"]
        assert notes.get(Name.A).id == notes.get("a").id == "a"
        assert type(notes.get("a").id) is str


def test_reranked_lines_keep_their_numbers_and_lose_their_ends(
    run: Run, monkeypatch: pytest.MonkeyPatch, bundle: Callable[[str], Path]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n \r\nbread with rye\r\n\nthe train leaves\n"))
    status, out, _ = run("rerank", "the train leaves", "--model", bundle("bert-pylate"), "--json")
    assert status == 0
    assert [(r["line"], r["text"]) for r in json.loads(out)["results"]] == [
        (5, "the train leaves"),
        (3, "bread with rye"),
    ]


def test_reranking_refuses_what_is_no_number(model: ColBERT) -> None:
    query = model.encode_query("bread")
    broken = model.encode_document("rye bread").copy()
    broken[1] = np.nan
    with pytest.raises(InvalidVectorsError, match="finite"):
        rank.rerank([["x"]], [query], [[broken]])
    with pytest.raises(InvalidVectorsError, match="finite"):
        model.similarity([query], [broken])
    with pytest.raises(InvalidVectorsError, match="finite"):
        rank.rerank([["x"]], [query * np.inf], [[model.encode_document("rye bread")]])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda notes: notes.add(["a"], "x"), (TypeError, ValueError), "texts"),
        (lambda notes: notes.add(["a"], ["x"], [None]), (TypeError, ValueError), "metadata"),
        (lambda notes: notes.search(["x", "y"]), TypeError, "search_batch"),
        (lambda notes: notes.search_batch("x"), TypeError, "list of queries"),
        (lambda notes: notes.search("x", where=["a"]), FilterError, "mapping"),
    ],
)
def test_what_is_confused_is_told_apart_in_one_sentence(
    tmp_path: Path, model: ColBERT, call: Callable[[Collection], Any], error: Any, message: str
) -> None:
    with Collection(tmp_path / "notes.lt", model) as notes:
        with pytest.raises(error, match=message) as caught:
            call(notes)
        assert "\n" not in str(caught.value)
        assert len(notes) == 0
        assert notes  # an empty collection is one, too


def test_a_new_text_without_metadata_has_none_and_metadata_change_without_the_text(
    tmp_path: Path, model: ColBERT
) -> None:
    """As documented: a document is replaced as a whole; `update_metadata` is for the other wish."""
    with Collection(tmp_path / "notes.lt", model) as notes:
        notes.add(["a"], ["one"], [{"year": 1999}])
        notes.update_metadata(["a"], [{"year": 2000}])
        assert (notes.get("a").text, notes.get("a").metadata) == ("one", {"year": 2000})
        notes.add(["a"], ["two"])
        assert (notes.get("a").text, notes.get("a").metadata) == ("two", {})


@pytest.mark.parametrize("indexed", [False, True])
def test_a_filter_reads_the_text_of_no_document_but_the_hits(tmp_path: Path, model: ColBERT, indexed: bool) -> None:
    with Collection(tmp_path / "notes.lt", model) as notes:
        notes.add(range(200), [f"note {n}" for n in range(200)], [{"year": 1900 + n % 100} for n in range(200)])
        if indexed:
            notes.index_metadata("year")
        statements: list[str] = []
        with notes._storage.reading() as connection:
            assert connection is not None
            connection.set_trace_callback(statements.append)
        assert len(notes.search("note", k=3, where={"year": {"$gte": 1990}})) == 3
        assert notes.count(where={"year": 1950}) == 2
        filtering = [each for each in statements if "group_concat" in each]
        reading = [each for each in statements if "texts" in each]
        assert len(filtering) == 2
        assert len(reading) == 1
        assert reading[0].count(",") <= 4  # three columns, three numbers


def test_a_document_of_which_nothing_is_kept_does_not_stop_the_others(
    tmp_path: Path, bundle: Callable[[str], Path]
) -> None:
    """A tokenizer that puts nothing around a text, and texts that are empty or of left-out tokens alone."""
    bare = tmp_path / "bundle"
    shutil.copytree(bundle("bert-pylate"), bare)
    tokenizer = json.loads((bare / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["post_processor"] = None
    (bare / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    assert Tokenizer.from_file(str(bare / "tokenizer.json")).num_special_tokens_to_add(False) == 0
    manifest = json.loads((bare / "manifest.json").read_text(encoding="utf-8"))
    entry = manifest["files"]["tokenizer.json"]
    entry["sha256"], entry["bytes"] = sha256(bare / "tokenizer.json"), (bare / "tokenizer.json").stat().st_size
    (bare / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    model = ColBERT(bare)
    assert model.encode_query("").shape[1] == model.dim
    with Collection(tmp_path / "notes.lt", model) as notes:
        notes.add([1, 2, 3], ["rye bread", "", "---"])
        assert notes.ids == [1, 2, 3]
        assert notes.search("rye bread", k=1)[0].id == 1
        assert notes.search("", k=3, mode="lexical") == []


_GROWTH = """
import resource, sys
from latelite import Collection
with Collection(sys.argv[1], model=sys.argv[2], threads=1) as notes:
    notes.add([1], ["wort " * 20_000])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    notes.add([2], ["wort " * 400_000])
    notes.add([3], ["wort" * 500_000])
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="asks the system for the most memory that was in use")
def test_a_huge_text_takes_memory_by_its_length_and_not_by_its_tokens(
    tmp_path: Path, bundle: Callable[[str], Path]
) -> None:
    """A token of the tokenizer takes 100 to 200 bytes: 400,000 of them at once would be 40 to 80 MB."""
    command = [sys.executable, "-c", _GROWTH, str(tmp_path / "notes.lt"), str(bundle("bert-pylate"))]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    assert int(done.stdout) < 60_000  # KiB; the texts themselves are 4 MB, and are there a few times


@pytest.mark.parametrize(
    "settings",
    [
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "POSIX", "PYTHONIOENCODING": ""},
        {},
    ],
    ids=["latin-1", "C", "POSIX", "no environment"],
)
def test_any_locale_shows_a_hit(tmp_path: Path, model: ColBERT, settings: dict[str, str]) -> None:
    with Collection(tmp_path / "notes.lt", model) as notes:
        notes.add(["a"], ["bread \u2019 \u00e9 \U0001f35e " + "and rye " * 60])
    command = [sys.executable, "-m", "latelite.cli", "search", str(tmp_path / "notes.lt"), "bread"]
    done = subprocess.run(command, env=settings, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"bread" in done.stdout


def test_graphics_cards_that_the_system_hides_are_no_matter_of_a_search(tmp_path: Path, model: ColBERT) -> None:
    """ONNX Runtime looks for them when it is loaded, and some releases complain where `/sys` shows half of one."""
    if shutil.which("unshare") is None or sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("needs to mount a file system over /sys")
    with Collection(tmp_path / "notes.lt", model) as notes:
        notes.add(["a"], ["rye bread"])
    script = (
        "mount -t tmpfs none /sys/class && mkdir -p /sys/class/drm/card0/device || exit 77; "
        f"exec {sys.executable} -m latelite.cli search {tmp_path / 'notes.lt'} bread --json"
    )
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, check=False)
    if done.returncode in (1, 77) and not done.stdout:
        pytest.skip(f"no mount here: {done.stderr.decode()[:200]}")
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["hits"][0]["id"] == "a"
