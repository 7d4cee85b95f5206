"""The files below a folder: each once, links followed, what is no document left out."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from latelite.sources import ignore

SKIPPED_NAMES = frozenset({"lost+found"})
_HEADERS = {  # file that marks a folder -> what its first bytes hold
    "collection.json": b"latelite-collection",
    "CURRENT.json": b"generation",
    "manifest.json": b"latelite-bundle",
}


@dataclass(frozen=True)
class Found:
    """A file on the way, or a place that could not be read (``problem``)."""

    path: str
    """Relative to the root, with slashes; undecodable bytes as surrogates, see `os.fsdecode`."""
    location: str
    """Where it is opened."""
    status: os.stat_result | None = None
    problem: str | None = None
    """Why this cannot be read; what is known from below it must not be taken for deleted."""
    skipped: str | None = None
    """Why it is left out on purpose."""


def find(
    root: str, *, exclude: Sequence[str] = (), suffixes: Sequence[str] | None = None, leave_out: Sequence[str] = ()
) -> Iterator[Found]:
    """Every regular file below ``root``, in the order of its path.

    Hidden names, files that ``exclude`` or an ignore file names, collections and bundles are left out. A link is
    followed to what has not been seen yet; real entries come before links to them, and so cycles end.

    Args:
        root: an existing folder.
        exclude: patterns as in a ``.gitignore``, relative to ``root``.
        suffixes: only names that end like this, whatever their case; None takes every name.
        leave_out: folders (real paths) that are not entered.
    """
    walk = _Walk(ignore.parse(exclude), suffixes, {_identity(Path(each)) for each in leave_out})
    found = list(walk.folder(root, "", []))
    # Links wait until everything real has been seen, so that a file is named by its own path where it has one here.
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
        """Files below one folder; deep trees do not recurse."""
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
        """What a link leads to, if it has not been seen."""
        try:
            status = Path(location).stat()
        except OSError:
            if not self._ignored(path, patterns, is_folder=False) and self._wanted(path):
                yield Found(path, location, skipped="it is a link that leads nowhere")
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
        # The command line has the last word, as with git's own options.
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
    """What latelite calls the folder, None if it is not one of its own."""
    for name, mark in _HEADERS.items():
        try:
            with (Path(location) / name).open("rb") as file:
                if mark in file.read(4096):
                    return "a model bundle" if name == "manifest.json" else "a collection"
        except OSError:
            continue
    return None


def is_collection(location: str) -> bool:
    """Whether the folder holds a collection or an index, and so no documents of the user's."""
    return _made_by_latelite(location) == "a collection"
