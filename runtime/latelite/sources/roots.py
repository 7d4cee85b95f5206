"""Command-line arguments -> folders and files, each under one canonical name."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from latelite.errors import StoreError
from latelite.sources import folders

STANDARD_INPUT = "-"


@dataclass(frozen=True)
class Argument:
    """A folder, file or stream named by an argument."""

    kind: Literal["folder", "file", "files", "stream"]
    """"files": the files of a folder that were named before."""
    location: str
    """Real path without links; for a stream, its name."""

    @property
    def name(self) -> str:
        """Name in ids and metadata."""
        if self.location == STANDARD_INPUT:
            return "stdin"
        return Path(self.location).name or "root"


def resolve(arguments: Iterable[str | os.PathLike[str]]) -> list[Argument]:
    """The distinct folders, files and streams.

    Raises:
        FileNotFoundError: a path does not exist.
        StoreError: a folder is a collection.
    """
    found: dict[Argument, None] = {}
    for argument in arguments:
        path = os.fspath(argument)
        if path == STANDARD_INPUT:
            found[Argument("stream", STANDARD_INPUT)] = None
            continue
        named = Path(path).expanduser()
        try:
            mode = named.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError(f"{path} does not exist.") from None
        if stat.S_ISDIR(mode):
            location = os.path.realpath(named)
            if folders.is_collection(location):
                raise StoreError(f"{path} is a collection, not a folder of documents.")
            found[Argument("folder", location)] = None
        elif stat.S_ISREG(mode):
            found[Argument("file", os.path.realpath(named))] = None
        else:
            found[Argument("stream", path)] = None
    outer = [each.location for each in found if each.kind == "folder"]
    return [
        each
        for each in found
        if each.kind != "folder"
        or not any(other != each.location and inside(each.location, other) is not None for other in outer)
    ]


def inside(location: str, folder: str) -> str | None:
    """Path of ``location`` below ``folder``, "" for the folder itself; None if a walk of the folder would miss it."""
    if location == folder:
        return ""
    prefix = folder if folder.endswith("/") else f"{folder}/"
    if not location.startswith(prefix):
        return None
    path = location[len(prefix) :]
    return None if any(part.startswith(".") for part in path.split("/")) else path


def unique_label(name: str, taken: Sequence[str]) -> str:
    """The name, with a number appended if it is taken."""
    if name not in taken:
        return name
    number = 2
    while f"{name}~{number}" in taken:
        number += 1
    return f"{name}~{number}"
