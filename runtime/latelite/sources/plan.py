"""The plan of a run: files on disk compared with their records."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from latelite.sources import folders, roots
from latelite.sources.catalogue import File, Source, SourceCatalogue
from latelite.sources.folders import Found
from latelite.sources.reading import Problem

_RECENT = 2_000_000_000
"""Age in nanoseconds below which a file's times are not trusted: file systems have resolutions of up to two seconds."""


@dataclass
class Work:
    """A file to read."""

    source: Source
    found: Found
    signature: tuple[int, int, int]
    known: File | None
    changed: bool = False
    """Whether to process it even with the same bytes: cut with other settings, or incomplete in the collection."""

    @property
    def path(self) -> str:
        """Path as in ids and metadata."""
        return self.source.shown(self.found.path)


@dataclass
class Plan:
    """The files of a run."""

    work: list[Work] = field(default_factory=list)
    missing: list[File] = field(default_factory=list)
    """Known files that no longer exist."""
    unchanged: list[File] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    whole: list[Source] = field(default_factory=list)
    """Sources that the run covers completely."""
    absorbed: list[Source] = field(default_factory=list)
    """Sources inside one of these, which become part of it."""

    @property
    def bytes(self) -> int:
        """Total size of the files to read."""
        return sum(each.signature[0] for each in self.work)


@dataclass
class Scope:
    """The part of a source that a run covers."""

    source: Source
    folders: list[str] = field(default_factory=list)
    """Paths within the source to walk; "" for all of it."""
    named: list[str] = field(default_factory=list)
    """Paths of files named explicitly, which are read regardless of suffix."""

    @property
    def whole(self) -> bool:
        """Whether the whole source is covered."""
        return "" in self.folders or self.source.kind == "stream"

    def covers(self, path: str) -> bool:
        """Whether a known file that is not found was deleted."""
        if self.whole or path in self.named:
            return True
        return any(path.startswith(f"{folder}/") for folder in self.folders)


def scopes(
    catalogue: SourceCatalogue, arguments: Sequence[roots.Argument], options: Mapping[str, Any] | None
) -> tuple[list[Scope], list[Source]]:
    """The sources of the arguments, created if new, and the sources that these absorb.

    A folder inside an indexed folder is part of that source. A file belongs to the indexed folder around it, or else to
    a source for the explicitly named files of its folder.

    Args:
        options: options for the named folders; None keeps the recorded ones.
    """
    found: dict[int, Scope] = {}
    for argument in sorted(arguments, key=lambda each: each.kind != "folder"):
        known = catalogue.sources()
        outer, path = _outer(known, argument)
        if argument.kind == "files":
            source = next(each for each in known if each.location == argument.location)
            there = [each.path for each in catalogue.files(source.number)]
            scope = found.setdefault(source.number, Scope(source))
            scope.named += [each for each in there if os.path.lexists(f"{source.location}/{each}")]
            continue
        if argument.kind == "stream":
            source = _put(catalogue, known, "stream", argument.location, argument.name, {})
        elif argument.kind == "folder" and (outer is None or not path):
            source = _put(catalogue, known, "folder", argument.location, argument.name, options)
        elif outer is not None:
            source = outer
        else:
            folder = Path(argument.location).parent
            source, path = _put(catalogue, known, "files", str(folder), folder.name or "root", {}), argument.name
        scope = found.setdefault(source.number, Scope(source))
        (scope.named if argument.kind == "file" else scope.folders).append(path)
    walked = [scope.source for scope in found.values() if scope.source.kind == "folder" and scope.whole]
    absorbed = [
        each
        for each in catalogue.sources()
        if each.kind != "stream" and any(roots.inside(each.location, other.location) for other in walked)
    ]
    return [scope for scope in found.values() if scope.source not in absorbed], absorbed


def _outer(known: Sequence[Source], argument: roots.Argument) -> tuple[Source | None, str]:
    """The indexed folder that contains an argument, and the argument's path in it."""
    for source in known:
        if source.kind == "folder" and argument.kind in ("folder", "file"):
            path = roots.inside(argument.location, source.location)
            if path is not None:
                return source, path
    return None, ""


def _put(
    catalogue: SourceCatalogue,
    known: Sequence[Source],
    kind: str,
    location: str,
    name: str,
    options: Mapping[str, Any] | None,
) -> Source:
    if options is None:
        options = next((each.options for each in known if each.location == location), {})
    label = roots.unique_label(name, [each.label for each in known])
    number = catalogue.put_source(kind, location, label, options)
    return next(each for each in catalogue.sources() if each.number == number)


def plan(
    catalogue: SourceCatalogue,
    found: Iterable[Scope],
    absorbed: Iterable[Source],
    *,
    settings: str,
    leave_out: Sequence[str],
    now: float,
) -> Plan:
    """Walk the scopes, and compare the files with their records.

    Args:
        settings: how files are cut; files cut with other settings are read again.
        leave_out: folders to skip, such as the collection itself.
        now: seconds since 1970.
    """
    result = Plan(absorbed=list(absorbed))
    incomplete = catalogue.incomplete_files()
    for scope in found:
        source = scope.source
        known = {file.path: file for file in catalogue.files(source.number)}
        unseen: list[str] = []
        for each in _walk(scope, leave_out):
            if each.problem is not None:
                unseen.append("" if each.path == "." else each.path)
                result.problems.append(Problem(source.shown(each.path), each.problem))
            elif each.skipped is not None:
                result.problems.append(Problem(source.shown(each.path), each.skipped, skipped=True))
            else:
                file = known.pop(each.path, None)
                work = _compare(source, each, file, settings, now)
                if file is not None and file.number in incomplete:
                    work = Work(source, each, _signature(each.status, now), file, changed=True)
                if work is not None:
                    result.work.append(work)
                elif file is not None and file.problem is not None:
                    result.problems.append(Problem(source.shown(file.path), file.problem, skipped=True, again=False))
                elif file is not None:
                    result.unchanged.append(file)
        for path, file in known.items():
            hidden = any(path == each or not each or path.startswith(f"{each}/") for each in unseen)
            gone = scope.covers(path) or (source.kind == "files" and not os.path.lexists(f"{source.location}/{path}"))
            if gone and not hidden:
                result.missing.append(file)
        if scope.whole:
            result.whole.append(source)
    for source in result.absorbed:
        result.missing += catalogue.files(source.number)
    return result


def _walk(scope: Scope, leave_out: Sequence[str]) -> Iterable[Found]:
    source = scope.source
    if source.kind == "stream":
        return [Found("", source.location)]
    found: dict[str, Found] = {}
    if scope.folders:
        # From the top, because ignore files and patterns apply further down.
        exclude, suffixes = source.options.get("exclude") or (), source.options.get("suffixes")
        for each in folders.find(source.location, exclude=exclude, suffixes=suffixes, leave_out=leave_out):
            if "" in scope.folders or any(f"{each.path}/".startswith(f"{inside}/") for inside in scope.folders):
                found[each.path] = each
    for path in scope.named:
        location = f"{source.location}/{path}"
        try:
            found[path] = Found(path, location, Path(location).stat())
        except OSError as error:
            found[path] = Found(path, location, problem=f"cannot be read: {error.strerror or error}")
    return found.values()


def _compare(source: Source, found: Found, known: File | None, settings: str, now: float) -> Work | None:
    """The work for a file; None if it has not changed."""
    signature = _signature(found.status, now)
    if known is None:
        return Work(source, found, signature, None)
    cut_alike = known.settings == settings and (known.content is not None or known.problem is not None)
    if cut_alike and signature == known.signature and -1 not in signature:
        return None
    return Work(source, found, signature, known, changed=not cut_alike)


def _signature(status: os.stat_result | None, now: float) -> tuple[int, int, int]:
    if status is None:
        return 0, -1, -1
    times = status.st_mtime_ns, status.st_ctime_ns
    if max(times) > now * 1e9 - _RECENT:
        return status.st_size, -1, -1
    return status.st_size, *times
