"""What a process did to a folder, from strace, and every state in which a power cut may leave it.

POSIX promises little: what was written is on the disk after ``fsync`` of the file, a name after ``fsync`` of the folder
that holds it, and a rename is seen whole or not at all. Until then any of it may be lost, each write and each name by
itself and in any order, a write also in part; a file may have grown without its content.
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CALLS = (
    "openat,open,creat,close,dup,dup2,write,writev,pwrite64,pwritev,lseek,ftruncate,truncate,fallocate,fsync,fdatasync,"
    "rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,rmdir,mkdir,mkdirat,ioctl,"
    "copy_file_range,sendfile,msync"
)
_SECTOR = 512


def why_not() -> str | None:
    """Why nothing can be recorded here; None where it can."""
    strace = shutil.which("strace")
    if strace is None:
        return "strace is not installed (apt-get install strace)"
    tried = subprocess.run([strace, "-o", "/dev/null", "true"], capture_output=True, text=True, check=False)
    return None if tried.returncode == 0 else f"strace cannot trace here: {tried.stderr.strip()}"


@dataclass(frozen=True)
class Call:
    """One call of the system that succeeded."""

    process: int
    name: str
    arguments: list[str]
    returned: str


def calls(trace: str) -> Iterator[Call]:
    """Parse the output of ``strace -f -y -xx``."""
    unfinished: dict[int, str] = {}
    for line in trace.splitlines():
        head, _, rest = line.partition(" ")
        process, rest = int(head), rest.lstrip()
        if rest.endswith("<unfinished ...>"):
            unfinished[process] = rest.removesuffix("<unfinished ...>")
            continue
        if resumed := re.match(r"<\.\.\. \w+ resumed>(.*)", rest):
            rest = unfinished.pop(process) + resumed[1]
        found = re.fullmatch(r"(\w+)\((.*)\)\s+= (-?\d+\S*)(.*)", rest)
        if found and not found[3].startswith("-"):
            yield Call(process, found[1], _split(found[2]), found[3])


def _split(arguments: str) -> list[str]:
    """At commas outside strings, lists and structures. With -xx no string holds a comma or a quote."""
    parts, depth, start = [], 0, 0
    for place, character in enumerate(arguments):
        if character in "[{":
            depth += 1
        elif character in "]}":
            depth -= 1
        elif character == "," and not depth:
            parts.append(arguments[start:place].strip())
            start = place + 1
    return [*parts, arguments[start:].strip()]


def decoded(text: str) -> bytes:
    """A string of -xx."""
    if text.endswith("..."):
        raise AssertionError("strace cut a string off")
    return bytes.fromhex("".join(re.findall(r"\\x([0-9a-f]{2})", text)))


def _number(text: str) -> int:
    return int(re.match(r"-?\d+", text)[0])  # type: ignore[index]


def path_of(text: str) -> str | None:
    """The path in ``3<path>``, a descriptor of -y."""
    found = re.search(r"<(.*)>", text)
    return None if found is None else decoded(found[1]).decode("utf-8", "surrogateescape")


@dataclass(eq=False)
class File:
    """Content that is on the disk for sure, and what may be."""

    content: bytes = b""
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)
    """Writes (place, data), and truncations (size, None)."""
    size: int = 0
    """As the process sees it."""


@dataclass(eq=False)
class Folder:
    """Names that are on the disk for sure, and changes that may be."""

    names: dict[str, File | Folder] = field(default_factory=dict)
    pending: list[tuple[str, str | None, File | Folder | None]] = field(default_factory=list)
    """(name, None, entry) links, (name, None, None) unlinks, (new, old, entry) renames."""
    seen: dict[str, File | Folder] = field(default_factory=dict)
    """As the process sees it."""


Tree = dict[str, bytes | None]
"""Path -> content; None is a folder."""


class Disk:
    """A folder that calls change."""

    def __init__(self, root: Path) -> None:
        self.root = Folder()
        self._path = str(root)
        self._positions: dict[tuple[str, int], int] = {}

    # ---------------------------------------------------------------------------------------------- what is recorded

    def _parts(self, path: str) -> list[str] | None:
        """Names below the root; None for paths elsewhere."""
        if path != self._path and not path.startswith(self._path + "/"):
            return None
        return [name for name in path[len(self._path) :].split("/") if name]

    def _at(self, parts: Sequence[str]) -> File | Folder | None:
        found: File | Folder | None = self.root
        for name in parts:
            found = found.seen.get(name) if isinstance(found, Folder) else None
        return found

    def _folder(self, parts: Sequence[str]) -> Folder:
        found = self._at(parts[:-1])
        assert isinstance(found, Folder), parts
        return found

    def _link(self, parts: Sequence[str], entry: File | Folder) -> None:
        folder = self._folder(parts)
        folder.seen[parts[-1]] = entry
        folder.pending.append((parts[-1], None, entry))

    def apply(self, call: Call) -> bool:
        """Follow one call; returns whether it made something durable."""
        name, given = call.name, call.arguments
        if name in ("fsync", "fdatasync"):
            return self._sync(path_of(given[0]))
        if name in ("openat", "open", "creat"):
            self._open(path_of(call.returned), " ".join(given), _number(call.returned))
        elif name in ("write", "writev", "pwrite64"):
            self._write(name, given, _number(call.returned))
        elif name == "lseek":
            self._positions[self._key(given[0])] = _number(call.returned)
        elif name == "ftruncate":
            self._truncate(path_of(given[0]), _number(given[1]))
        elif name in ("mkdir", "mkdirat"):
            if parts := self._parts(self._full(given, name == "mkdirat")):
                self._link(parts, Folder())
        elif name in ("unlink", "unlinkat", "rmdir"):
            if parts := self._parts(self._full(given, name == "unlinkat")):
                folder = self._folder(parts)
                folder.seen.pop(parts[-1])
                folder.pending.append((parts[-1], None, None))
        elif name.startswith("rename"):
            self._rename(given, name != "rename")
        elif name in ("close", "dup", "dup2", "fallocate", "msync"):
            pass
        elif any(str(self._path) in (path_of(each) or "") for each in given):
            raise AssertionError(f"{name} is not simulated")
        return False

    def _full(self, given: list[str], has_folder: bool, first: int = 0) -> str:
        path = decoded(given[first + has_folder]).decode("utf-8", "surrogateescape")
        base = path_of(given[first]) if has_folder else None
        return path if path.startswith("/") or base is None else f"{base}/{path}"

    def _key(self, descriptor: str) -> tuple[str, int]:
        return path_of(descriptor) or "", _number(descriptor)

    def _open(self, path: str | None, given: str, descriptor: int) -> None:
        parts = self._parts(path or "")
        if not parts:
            return
        self._positions[path or "", descriptor] = 0
        if self._at(parts) is None and "O_CREAT" in given:
            self._link(parts, File())
        elif "O_TRUNC" in given:
            self._truncate(path, 0)

    def _file(self, path: str | None) -> File | None:
        parts = self._parts(path or "")
        found = self._at(parts) if parts else None
        assert found is None or isinstance(found, File)
        assert found is not None or not parts, f"{path} is written, but has no name any more"
        return found

    def _write(self, name: str, given: list[str], count: int) -> None:
        path, key = path_of(given[0]), self._key(given[0])
        file = self._file(path)
        if file is None:
            return
        data = decoded(given[1])[:count]
        assert len(data) == count, "strace cut a string off"
        place = _number(given[3]) if name == "pwrite64" else self._positions[key]
        if name != "pwrite64":
            self._positions[key] = place + count
        file.pending.append((place, data))
        file.size = max(file.size, place + count)

    def _truncate(self, path: str | None, size: int) -> None:
        if (file := self._file(path)) is not None and file.size != size:
            file.pending.append((size, None))
            file.size = size

    def _rename(self, given: list[str], has_folders: bool) -> None:
        old = self._parts(self._full(given, has_folders))
        new = self._parts(self._full(given, has_folders, 1 + has_folders))
        if old is None and new is None:
            return
        assert old is not None
        assert new is not None
        assert old[:-1] == new[:-1], "a rename between folders is not simulated"
        folder = self._folder(old)
        folder.seen[new[-1]] = entry = folder.seen.pop(old[-1])
        folder.pending.append((new[-1], old[-1], entry))

    def _sync(self, path: str | None) -> bool:
        parts = self._parts(path or "")
        if parts is None:
            return False
        entry = self._at(parts)
        if isinstance(entry, File):
            entry.content = _after(entry, entry.pending)
        elif isinstance(entry, Folder):
            entry.names = _names(entry, entry.pending)
        assert entry is not None
        changed, entry.pending = bool(entry.pending), []
        return changed

    # ---------------------------------------------------------------------------------------- what a power cut leaves

    def losses(self, rng: random.Random, count: int) -> Iterator[Tree]:
        """States that the disk may be in: nothing lost, all that may be, and ``count`` others."""
        for keep in (1.0, 0.0):
            yield self._left(_Chooser(random.Random(0), keep, torn=False))
        for _ in range(count):
            keep = rng.choice((0.1, 0.5, 0.9))
            yield self._left(_Chooser(rng, keep, torn=rng.random() < 0.5))

    def _left(self, choose: _Chooser) -> Tree:
        tree: Tree = {}

        def walk(folder: Folder, prefix: str) -> None:
            for name, entry in _names(folder, choose.some(folder.pending)).items():
                path = f"{prefix}{name}"
                if isinstance(entry, Folder):
                    tree[path] = None
                    walk(entry, path + "/")
                elif path not in tree:
                    tree[path] = _after(entry, choose.parts(entry.pending))

        walk(self.root, "")
        return tree


@dataclass
class _Chooser:
    """What of the pending changes got to the disk."""

    rng: random.Random
    keep: float
    torn: bool

    def some(self, pending: list[Any]) -> list[Any]:
        return [each for each in pending if self.rng.random() < self.keep]

    def parts(self, pending: list[tuple[int, bytes | None]]) -> Iterator[tuple[int, bytes | None]]:
        whole = self.rng.random()  # often a file is written as a whole, or not at all
        for place, data in pending:
            kept = self.rng.random() < self.keep if whole < 0.5 else whole < 0.5 + self.keep / 2
            if data is None:
                if kept:
                    yield place, None
            elif not self.torn:
                if kept:
                    yield place, data
                elif self.keep and self.rng.random() < 0.2:
                    yield place + len(data), b""  # has grown without its content
            else:
                end = 0
                while end < len(data):
                    start, end = end, end + _SECTOR - (place + end) % _SECTOR
                    if self.rng.random() < self.keep:
                        yield place + start, data[start:end]


def _after(file: File, changes: Iterable[tuple[int, bytes | None]]) -> bytes:
    content = bytearray(file.content)
    for place, data in changes:
        if data is None:
            content[place:] = bytes(max(place - len(content), 0))
            continue
        if len(content) < place:
            content.extend(bytes(place - len(content)))
        content[place : place + len(data)] = data
    return bytes(content)


def _names(folder: Folder, changes: Iterable[tuple[str, str | None, File | Folder | None]]) -> dict[str, File | Folder]:
    names = dict(folder.names)
    for name, old, entry in changes:
        if entry is None:
            names.pop(name, None)
            continue
        if old is not None and names.get(old) is entry:
            del names[old]
        names[name] = entry
    return names
