"""Reads a file into passages, and turns errors into reports."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from latelite.errors import MissingExtraError
from latelite.sources.blocks import Fault
from latelite.sources.content import NotTextError
from latelite.sources.extraction import extract
from latelite.sources.passage import Measure, Passage, passages_of

_REPORTED = 5  # positions in a file that are reported individually


@dataclass(frozen=True)
class Problem:
    """Why a file, or a part of one, is not in the collection."""

    path: str
    reason: str
    skipped: bool = False
    """Whether it merely has no text to search, which is not a failure."""
    again: bool = True
    """Whether the next run should try again even if the file has not changed."""


def read(file: BinaryIO, path: str, measure: Measure, fault: Fault) -> Iterator[tuple[Passage, str]]:
    """Passages of an open, seekable file with their positions; raises errors that `problem` explains."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    yield from passages_of(extract(file, PurePosixPath(path).name, fault, size=size), path, measure)


def read_path(location: str, path: str, measure: Measure, fault: Fault) -> Iterator[tuple[Passage, str]]:
    """`read` for a file on disk."""
    with Path(location).open("rb") as file:
        yield from read(file, path, measure, fault)


def problem(path: str, error: Exception) -> Problem:
    """The problem that an error means for the file being read."""
    if isinstance(error, NotTextError):
        return Problem(path, str(error), skipped=True, again=False)
    if isinstance(error, MissingExtraError):
        return Problem(path, str(error))
    if isinstance(error, OSError):
        return Problem(path, f"cannot be read: {error.strerror or error}")
    if isinstance(error, ValueError):
        return Problem(path, str(error))
    # A library may raise anything on a damaged file; the other files must still be indexed.
    return Problem(path, f"cannot be read: {type(error).__name__}: {error}")


class Places:
    """Parts of a file that could not be read; many are summed up in one problem."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._problems: list[Problem] = []
        self.count = 0

    def fault(self, place: str, what: str) -> None:
        """Add a problem at a position."""
        self.count += 1
        if self.count <= _REPORTED:
            self._problems.append(Problem(f"{self._path}, {place}", what))

    def problems(self) -> list[Problem]:
        """The problems to report for the file."""
        if self.count > _REPORTED:
            more = f"there are {self.count - _REPORTED:,} more such places in this file"
            return [*self._problems, Problem(self._path, more)]
        return self._problems
