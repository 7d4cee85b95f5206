"""What a run has to do: the files that were found, compared with what is known of them."""

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
"""Nanoseconds for which a file's times are not relied on: clocks of file systems tick in up to two seconds."""


@dataclass
class Work:
    """A file to read."""

    source: Source
    found: Found
    signature: tuple[int, int, int]
    known: File | None
    changed: bool = False
    """Whether it has to be read although its bytes may be the same: cut otherwise, or not whole in the collection."""

    @property
    def path(self) -> str:
        """As ids and metadata have it."""
        return self.source.shown(self.found.path)


@dataclass
class Plan:
    """The files of one run."""

    work: list[Work] = field(default_factory=list)
    missing: list[File] = field(default_factory=list)
    """Known files that are there no longer."""
    unchanged: list[File] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    whole: list[Source] = field(default_factory=list)
    """Sources that the run goes through entirely."""
    absorbed: list[Source] = field(default_factory=list)
    """Sources that lie inside one of these, and become part of it."""

    @property
    def bytes(self) -> int:
        """Of all files to read."""
        return sum(each.signature[0] for each in self.work)


@dataclass
class Scope:
    """What a run looks at in one source."""

    source: Source
    folders: list[str] = field(default_factory=list)
    """Paths within the source that are walked through; "" for all of it."""
    named: list[str] = field(default_factory=list)
    """Paths of files that were named, and are read whatever they are called."""

    @property
    def whole(self) -> bool:
        """Whether nothing of the source is left out."""
        return "" in self.folders or self.source.kind == "stream"

    def covers(self, path: str) -> bool:
        """Whether a known file that is not found must be gone."""
        if self.whole or path in self.named:
            return True
        return any(path.startswith(f"{folder}/") for folder in self.folders)


def scopes(
    catalogue: SourceCatalogue, arguments: Sequence[roots.Argument], options: Mapping[str, Any] | None
) -> tuple[list[Scope], list[Source]]:
    """Which sources the arguments belong to, made where they are new, and the sources that these absorb.

    A folder inside an indexed folder is part of that source; a file named by itself belongs to the indexed folder that
    it is in, else to a source of those files of its folder that were named.

    Args:
        options: of the folders that are named; None leaves those that they have.
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
    """The indexed folder that an argument lies in, and its path there."""
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
    """Walk through the scopes, and compare what is there with what is known.

    Args:
        settings: how files are cut; those that were cut otherwise are read again.
        leave_out: folders that are not entered, as the collection itself.
        now: seconds since 1970.
    """
    result = Plan(absorbed=list(absorbed))
    incomplete = catalogue.incomplete_files()
    for scope in found:
        source = scope.source
        known = {file.path: file for file in catalogue.files(source.number)}
        unseen: list[str] = []
        for each in _found(scope, leave_out):
            if each.problem is not None:
                unseen.append("" if each.path == "." else each.path)
                result.problems.append(Problem(source.shown(each.path), each.problem))
            elif each.skipped is not None:
                result.problems.append(Problem(source.shown(each.path), each.skipped, skipped=True))
            else:
                file = known.pop(each.path, None)
                work = _compared(source, each, file, settings, now)
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


def _found(scope: Scope, leave_out: Sequence[str]) -> Iterable[Found]:
    source = scope.source
    if source.kind == "stream":
        return [Found("", source.location)]
    found: dict[str, Found] = {}
    if scope.folders:
        # From the top, for the ignore files and patterns that hold further down.
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


def _compared(source: Source, found: Found, known: File | None, settings: str, now: float) -> Work | None:
    """What has to be done about a file; None when it has not changed."""
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
