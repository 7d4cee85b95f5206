"""What one published state of an index consists of: ``generation-<n>.json``, and the pointer to the current one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from latelite.errors import IndexCorruptError, IndexNotFoundError, IndexVersionError
from latelite.files import atomic_write
from latelite.manifest import FileEntry

FORMAT = "latelite-index"
FORMAT_VERSION = 3
POINTER_NAME = "CURRENT.json"


@dataclass(frozen=True)
class Removed:
    """The documents of a segment that are removed in this generation."""

    file: str
    """Name inside the segment's folder: (documents,) int64, ascending document numbers."""
    documents: int
    entry: FileEntry


@dataclass(frozen=True)
class SegmentEntry:
    """One segment as a generation sees it."""

    name: str
    documents: int
    """Documents in the files, removed ones included."""
    tokens: int
    files: Mapping[str, FileEntry]
    removed: Removed | None = None

    @property
    def live(self) -> int:
        """Documents that are not removed."""
        return self.documents - (self.removed.documents if self.removed else 0)


@dataclass(frozen=True)
class Generation:
    """The content of ``generation-<n>.json``. Generations are never changed, only followed."""

    number: int
    kind: str
    """The index class that wrote it: ``"exact"``, ``"hnsw"`` or ``"ivf"``."""
    dim: int
    store: str
    """How token vectors are kept: ``"int8"`` or ``"float32"``."""
    fingerprint: str | None
    """Identifies the model whose vectors these are."""
    parameters: Mapping[str, Any]
    """The settings of the last writer."""
    segments: tuple[SegmentEntry, ...] = ()
    """In the order of insertion."""
    files: Mapping[str, FileEntry] = field(default_factory=dict)
    """Files that several segments share, by path inside the index."""

    @property
    def live(self) -> int:
        """Documents in the index."""
        return sum(segment.live for segment in self.segments)

    def to_json(self) -> str:
        content = {"format": FORMAT, "format_version": FORMAT_VERSION} | asdict(self)
        return json.dumps(content, indent=1, sort_keys=False) + "\n"

    @classmethod
    def from_content(cls, content: Mapping[str, Any]) -> Generation:
        """From parsed JSON; raises KeyError or TypeError when something is missing."""
        plain = {f.name: content[f.name] for f in fields(cls)}
        return cls(
            **plain
            | {
                "segments": tuple(_segment(entry) for entry in plain["segments"]),
                "files": {name: FileEntry(**entry) for name, entry in plain["files"].items()},
            }
        )


def _segment(content: Mapping[str, Any]) -> SegmentEntry:
    removed = content["removed"]
    return SegmentEntry(
        name=content["name"],
        documents=content["documents"],
        tokens=content["tokens"],
        files={name: FileEntry(**entry) for name, entry in content["files"].items()},
        removed=removed and Removed(removed["file"], removed["documents"], FileEntry(**removed["entry"])),
    )


def generation_name(number: int) -> str:
    """``generation-00000007.json``"""
    return f"generation-{number:08d}.json"


def write_generation(folder: Path, generation: Generation) -> None:
    """Publish: write the generation aside, then replace the pointer, which is the one moment that readers see."""
    text = generation.to_json().encode()
    name = generation_name(generation.number)
    with atomic_write(folder / name) as file:
        file.write(text)
    pointer = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "file": name,
        "sha256": hashlib.sha256(text).hexdigest(),
    }
    with atomic_write(folder / POINTER_NAME) as file:
        file.write((json.dumps(pointer, indent=1) + "\n").encode())


def read_pointer(folder: Path) -> Mapping[str, Any] | None:
    """The content of the pointer, None when nothing was published.

    Raises:
        IndexVersionError: another format version.
        IndexCorruptError: not a pointer of this format.
    """
    path = folder / POINTER_NAME
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise IndexCorruptError(f"{path} is not valid JSON ({error}).") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise IndexCorruptError(f"{path} is not the pointer of a {FORMAT}.")
    if content.get("format_version") != FORMAT_VERSION:
        raise IndexVersionError(
            f"{path} has format version {content.get('format_version')!r}, this latelite reads {FORMAT_VERSION}; "
            "build the index again with override=True."
        )
    for key in ("file", "sha256"):
        if key not in content:
            raise IndexCorruptError(f"{path} is incomplete: it has no {key!r}.")
    return content


def read_generation(folder: Path, pointer: Mapping[str, Any]) -> Generation:
    """The generation that ``pointer`` names.

    Raises:
        IndexNotFoundError: its file is missing (a writer may have moved on: read the pointer again).
        IndexCorruptError: its content is not what the pointer says.
    """
    path = folder / str(pointer["file"])
    try:
        text = path.read_bytes()
    except FileNotFoundError as error:
        raise IndexNotFoundError(f"{path} is missing from the index.") from error
    if hashlib.sha256(text).hexdigest() != pointer["sha256"]:
        raise IndexCorruptError(f"{path} was altered: its checksum is not the one in {POINTER_NAME}.")
    try:
        return Generation.from_content(json.loads(text))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise IndexCorruptError(f"{path} is incomplete: {type(error).__name__}: {error}.") from error
