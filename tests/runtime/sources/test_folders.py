"""The files of a folder: each once, without those that are not documents."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from conftest import ordinary_user
from latelite.sources import folders, ignore, roots


def paths(root: Path, **options: object) -> list[str]:
    found = list(folders.find(str(root), **options))  # type: ignore[arg-type]
    return [each.path for each in found if each.status is not None]


def write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")


def test_hidden_files_are_left_out_and_the_others_come_in_the_order_of_their_paths(tmp_path: Path) -> None:
    write(tmp_path, "b.md", "a.txt", ".hidden.md", ".git/c.md", "deep/er/d.RST", "deep/a", "LICENSE")
    assert paths(tmp_path) == ["LICENSE", "a.txt", "b.md", "deep/a", "deep/er/d.RST"]


@pytest.mark.parametrize("suffix", ["md", ".md", "MD"])
def test_suffixes_with_and_without_dot_in_any_case(tmp_path: Path, suffix: str) -> None:
    write(tmp_path, "a.md", "b.MD", "c.txt", "md")
    assert paths(tmp_path, suffixes=[suffix]) == ["a.md", "b.MD"]


def test_links_are_followed_once_and_cycles_end(tmp_path: Path) -> None:
    write(tmp_path, "vault/a.md", "elsewhere/docs/b.md", "elsewhere/c.md")
    vault = tmp_path / "vault"
    (vault / "docs").symlink_to(tmp_path / "elsewhere" / "docs")
    (vault / "again").symlink_to(tmp_path / "elsewhere" / "docs")
    (vault / "me").symlink_to(".")
    (vault / "z.md").symlink_to("a.md")
    (vault / "c.md").symlink_to(tmp_path / "elsewhere" / "c.md")
    (vault / "docs2").symlink_to(vault)
    (tmp_path / "elsewhere" / "docs" / "up").symlink_to(vault)
    assert paths(vault) == ["a.md", "again/b.md", "c.md"]


def test_a_link_that_leads_nowhere_is_said(tmp_path: Path) -> None:
    (tmp_path / "gone.md").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    (found, loop) = folders.find(str(tmp_path))
    assert (found.path, loop.path) == ("gone.md", "loop")
    assert found.skipped == loop.skipped == "it is a broken link"


def test_collections_and_bundles_on_the_way_are_skipped(tmp_path: Path) -> None:
    write(tmp_path, "a.md", "notes.lt/segments/ids.jsonl", "old/index/x.jsonl", "model/tokenizer.json", "mine/b.md")
    (tmp_path / "notes.lt" / "collection.json").write_text('{"format": "latelite-collection"}')
    (tmp_path / "old" / "index" / "CURRENT.json").write_text('{"generation": 3}')
    (tmp_path / "model" / "manifest.json").write_text('{"format": "latelite-bundle"}')
    (tmp_path / "mine" / "collection.json").write_text('{"info": "a collection of somebody else"}')
    assert paths(tmp_path) == ["a.md", "mine/b.md", "mine/collection.json"]
    skipped = {each.path: each.skipped for each in folders.find(str(tmp_path)) if each.skipped}
    assert skipped == {
        "model": "it is a model bundle",
        "notes.lt": "it is a collection",
        "old/index": "it is a collection",
    }


def test_a_collection_without_a_header_is_left_out_by_name(tmp_path: Path) -> None:
    write(tmp_path, "a.md", "half.lt/model/x.json")
    assert paths(tmp_path, leave_out=[str(tmp_path / "half.lt")]) == ["a.md"]


def test_a_folder_that_may_not_be_listed_is_a_problem(shared_folder: Path) -> None:
    write(shared_folder, "a.md", "locked/b.md")
    (shared_folder / "locked").chmod(0)
    with ordinary_user(shared_folder):
        found = list(folders.find(str(shared_folder)))
    (shared_folder / "locked").chmod(0o700)
    problems = [each for each in found if each.problem]
    assert [each.path for each in problems] == ["locked"]
    assert "Permission denied" in str(problems[0].problem)
    assert [each.path for each in found if not each.problem] == ["a.md"]


def test_pipes_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (found,) = folders.find(str(tmp_path))
    assert found.skipped == "it is not a regular file"


def test_names_of_any_bytes(tmp_path: Path) -> None:
    name = b"caf\xe9 \n\x01.md"
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text("x")
    (found,) = paths(tmp_path)
    assert os.fsencode(found) == name


def test_ignore_files_and_exclude(tmp_path: Path) -> None:
    write(tmp_path, "a.md", "b.log", "keep.log", "build/c.md", "sub/build/d.md", "sub/e.md", "sub/f.md", "node/x/y.md")
    (tmp_path / ".latelignore").write_text("# comment\n*.log\n!keep.log\nbuild/\n")
    (tmp_path / "sub" / ".latelignore").write_text("/e.md\n")
    assert paths(tmp_path, exclude=["node"]) == ["a.md", "keep.log", "sub/f.md"]


NAMES = st.lists(st.sampled_from(["a", "b", "ab", "a.md", "b.txt", "x y", "[a]"]), min_size=1, max_size=3).map("/".join)
PATTERNS = st.one_of(
    st.text(alphabet="ab./*?[]!\\ ", min_size=1, max_size=8),
    st.sampled_from(
        ["*.md", "a/", "/a", "a/b", "**/b", "a/**", "a/**/b", "!a", "!*.md", "[ab]", "[!a]", r"\!a", "a/*", "*"]
    ),
)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(patterns=st.lists(PATTERNS, min_size=1, max_size=3), name=NAMES)
@example(patterns=["[*"], name="[a]")
def test_patterns_mean_what_they_mean_to_git(
    tmp_path_factory: pytest.TempPathFactory, patterns: list[str], name: str
) -> None:
    root = tmp_path_factory.getbasetemp() / "git"
    if not root.exists():
        subprocess.run(["git", "init", "-q", str(root)], check=True)
    (root / ".gitignore").write_text("\n".join(patterns) + "\n")
    command = ["git", "-C", str(root), "check-ignore", "--no-index", "-q", "--", name]
    expected = subprocess.run(command, check=False).returncode == 0
    parsed = ignore.parse(patterns)
    parts = name.split("/")
    # A file below an ignored folder is not reached.
    ours = any(
        ignore.is_ignored("/".join(parts[:depth]), parsed, is_folder=depth < len(parts))
        for depth in range(1, len(parts) + 1)
    )
    assert ours == expected


def test_arguments_are_one_path_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "notes/sub/a.md", "notes/.hidden/b.md")
    (tmp_path / "link").symlink_to("notes")
    monkeypatch.chdir(tmp_path / "notes")
    found = roots.resolve([".", tmp_path / "notes", "../link", "sub", str(tmp_path / "notes" / "sub" / "..")])
    assert [(each.kind, each.location) for each in found] == [("folder", str(tmp_path / "notes"))]
    assert [each.location for each in roots.resolve([".", ".hidden"])] == [
        str(tmp_path / "notes"),
        str(tmp_path / "notes" / ".hidden"),
    ]
    assert roots.resolve(["sub/a.md", "./sub/a.md"]) == [
        roots.Argument("file", str(tmp_path / "notes" / "sub" / "a.md"))
    ]
    with pytest.raises(FileNotFoundError, match=r"nowhere\.md does not exist"):
        roots.resolve(["nowhere.md"])
