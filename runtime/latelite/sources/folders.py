"""Walks a folder: each file once, links followed, without files that are not documents."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from latelite.sources import ignore

SKIPPED_NAMES = frozenset({"lost+found"})
_HEADERS = {  # file that identifies a folder -> text in its first bytes
    "collection.json": b"latelite-collection",
    "CURRENT.json": b"generation",
    "manifest.json": b"latelite-bundle",
}


@dataclass(frozen=True)
class Found:
    """A file, or an entry that could not be read (``problem``)."""

    path: str
    """Path relative to the root, with slashes; undecodable bytes as surrogates, see `os.fsdecode`."""
    location: str
    """Path to open."""
    status: os.stat_result | None = None
    problem: str | None = None
    """Why this cannot be read. Known files below it must not count as deleted."""
    skipped: str | None = None
    """Why it is skipped on purpose."""


def find(
    root: str, *, exclude: Sequence[str] = (), suffixes: Sequence[str] | None = None, leave_out: Sequence[str] = ()
) -> Iterator[Found]:
    """Every regular file below ``root``, sorted by path.

    Skips hidden names, files that match ``exclude`` or an ignore file, collections and bundles. A link is followed if
    its target has not been visited; real entries are visited first, so cycles end.

    Args:
        root: an existing folder.
        exclude: patterns as in a ``.gitignore``, relative to ``root``.
        suffixes: only names with these endings, in any case; None: every name.
        leave_out: real paths of folders to skip.
    """
    walk = _Walk(ignore.parse(exclude), suffixes, {_identity(Path(each)) for each in leave_out})
    found = list(walk.folder(root, "", []))
    # Links come after all real entries, so that a file gets its own path if it is below the root.
    while walk.links:
        links, walk.links = walk.links, []
        for link in links:
            found += walk.link(*link)
    return iter(sorted(found, key=lambda each: each.path.split("/")))


class _Walk:
    def __init__(
        self, exclude: list[ignore.Pattern], suffixes: Sequence[str] | None, leave_out: set[tuple[int, int] | None]
    ) -> None:
        self._exclude = exclude
        self._suffixes = None if suffixes is None else tuple(_suffix(each) for each in suffixes)
        self._left_out = leave_out
        self._seen: set[tuple[int, int]] = set()
        self.links: list[tuple[str, str, list[ignore.Pattern]]] = []

    def folder(self, location: str, path: str, patterns: list[ignore.Pattern]) -> Iterator[Found]:
        """Files below a folder; iterative, so that depth is not limited by recursion."""
        waiting = [(location, path, patterns)]
        while waiting:
            location, path, patterns = waiting.pop()
            try:
                status = Path(location).stat()
                identity = (status.st_dev, status.st_ino)
                if identity in self._seen:
                    continue
                self._seen.add(identity)
                if identity in self._left_out or (what := _made_by_latelite(location)) is not None:
                    yield Found(
                        path or ".",
                        location,
                        skipped=f"it is {what if identity not in self._left_out else 'the collection'}",
                    )
                    continue
                with os.scandir(location) as entries:
                    listed = sorted(entries, key=lambda entry: entry.name)
            except OSError as error:
                yield Found(path or ".", location, problem=f"cannot be listed: {error.strerror or error}")
                continue
            if any(entry.name == ignore.IGNORE_FILE for entry in listed):
                try:
                    text = (Path(location) / ignore.IGNORE_FILE).read_text(
                        encoding="utf-8-sig", errors="surrogateescape"
                    )
                except OSError as error:
                    name = f"{path}/{ignore.IGNORE_FILE}".removeprefix("/")
                    yield Found(name, f"{location}/{ignore.IGNORE_FILE}", problem=f"cannot be read: {error.strerror}")
                else:
                    patterns = [*patterns, *ignore.parse(text.splitlines(), f"{path}/" if path else "")]
            for entry in listed:
                name = f"{path}/{entry.name}" if path else entry.name
                if entry.name.startswith(".") or entry.name in SKIPPED_NAMES:
                    continue
                if entry.is_symlink():
                    self.links.append((entry.path, name, patterns))
                elif entry.is_dir(follow_symlinks=False):
                    if not self._ignored(name, patterns, is_folder=True):
                        waiting.append((entry.path, name, patterns))
                else:
                    yield from self._file(entry.path, name, patterns)

    def link(self, location: str, path: str, patterns: list[ignore.Pattern]) -> Iterator[Found]:
        """The target of a link, unless it was visited already."""
        try:
            status = Path(location).stat()
        except OSError:
            if not self._ignored(path, patterns, is_folder=False) and self._wanted(path):
                yield Found(path, location, skipped="it is a broken link")
            return
        is_folder = stat.S_ISDIR(status.st_mode)
        if (status.st_dev, status.st_ino) in self._seen or self._ignored(path, patterns, is_folder=is_folder):
            return
        if is_folder:
            yield from self.folder(location, path, patterns)
        else:
            yield from self._file(location, path, patterns)

    def _file(self, location: str, path: str, patterns: list[ignore.Pattern]) -> Iterator[Found]:
        if self._ignored(path, patterns, is_folder=False) or not self._wanted(path):
            return
        try:
            status = Path(location).stat()
        except OSError as error:
            yield Found(path, location, problem=f"cannot be read: {error.strerror or error}")
            return
        self._seen.add((status.st_dev, status.st_ino))
        if stat.S_ISREG(status.st_mode):
            yield Found(path, location, status)
        else:
            yield Found(path, location, skipped="it is not a regular file")

    def _ignored(self, path: str, patterns: list[ignore.Pattern], *, is_folder: bool) -> bool:
        # The command line takes precedence, as in git.
        return ignore.is_ignored(path, [*patterns, *self._exclude] if patterns else self._exclude, is_folder=is_folder)

    def _wanted(self, path: str) -> bool:
        return self._suffixes is None or path.lower().endswith(self._suffixes)


def _suffix(text: str) -> str:
    return text.lower() if text.startswith(".") else f".{text.lower()}"


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _made_by_latelite(location: str) -> str | None:
    """Description of a folder written by latelite; None for any other folder."""
    for name, mark in _HEADERS.items():
        try:
            with (Path(location) / name).open("rb") as file:
                if mark in file.read(4096):
                    return "a model bundle" if name == "manifest.json" else "a collection"
        except OSError:
            continue
    return None


def is_collection(location: str) -> bool:
    """Whether the folder is a collection or an index rather than the user's documents."""
    return _made_by_latelite(location) == "a collection"
