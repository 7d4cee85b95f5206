"""Synchronises a collection with files: reads only changed files, and encodes only changed passages."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from latelite.sources import extraction, plan, reading, roots
from latelite.sources.batch import Batch, Change, Entry
from latelite.sources.catalogue import File, SourceCatalogue, Stored, digest
from latelite.sources.opening import content_hash, open_work
from latelite.sources.passage import Measure, Passage
from latelite.sources.plan import Plan, Work
from latelite.sources.reading import Places, Problem
from latelite.sources.report import Report
from latelite.storage.identifiers import encoded_id
from latelite.texts import GROUP_DOCUMENTS, GROUP_TOKENS, metadata_json

_CHANGES = 10_000  # maximum changes between two commits; they are held in memory

Fault = Callable[[str, str], object]


class Target(Protocol):
    """What is synchronised: a collection or, for a dry run, only the tables."""

    def reading(self) -> AbstractContextManager[SourceCatalogue]:
        """The tables in their committed state."""
        ...

    def writing(self) -> AbstractContextManager[SourceCatalogue]:
        """The tables in a transaction."""
        ...

    def apply(self, batch: Batch, on_encoded: Callable[[int], object]) -> None:
        """Apply the changes of a batch in one transaction, and encode its new documents."""
        ...


@dataclass
class Progress:
    """Progress of a run."""

    files: int = 0
    files_total: int = 0
    bytes: int = 0
    bytes_total: int = 0
    passages: int = 0
    """Passages encoded so far."""


class Sync:
    """One run.

    Args:
        target: what to synchronise.
        measure: limits of a passage.
        keep_missing: keep the passages of deleted files.
        leave_out: folders to skip, such as the collection itself.
        on_progress: called often.
    """

    def __init__(
        self,
        target: Target,
        measure: Measure,
        *,
        keep_missing: bool = False,
        leave_out: Sequence[str] = (),
        on_progress: Callable[[Progress], object] = lambda progress: None,
    ) -> None:
        self._target = target
        self._measure = measure
        self._settings = f"{extraction.VERSION}:{measure.settings}"
        self._keep_missing = keep_missing
        self._leave_out = leave_out
        self._on_progress = on_progress
        self._progress = Progress()
        self._batch = Batch()
        self._gone: set[int] = set()
        self._gone_contents: Counter[bytes] = Counter()
        self._taken: set[str] = set()  # ids of documents of deleted files that were renamed
        self._unread: set[int] = set()
        self._postponed: list[tuple[Entry, bytes | None, list[tuple[Passage, str]], Places]] = []
        self.report = Report()

    def run(self, arguments: Sequence[roots.Argument], options: Mapping[str, Any] | None) -> Report:
        """Synchronise with the arguments.

        Args:
            arguments: folders, files and streams.
            options: ``exclude`` and ``suffixes`` of the folders among them; None keeps the recorded ones.
        """
        start = time.time()
        with self._target.writing() as catalogue:
            catalogue.create()
            scopes, absorbed = plan.scopes(catalogue, arguments, options)
        with self._target.reading() as catalogue:
            todo = plan.plan(
                catalogue, scopes, absorbed, settings=self._settings, leave_out=self._leave_out, now=time.time()
            )
            counts: Counter[int] = Counter()
            for scope in scopes:
                counts.update(catalogue.passages_per_file(scope.source.number))
        missing = [] if self._keep_missing else todo.missing
        self._gone = {file.number for file in missing}
        self._gone_contents.update(file.content for file in missing if file.content is not None)
        self._unread = {work.known.number for work in todo.work if work.known is not None}
        self.report.problems += todo.problems
        self.report.files_unchanged = len(todo.unchanged)
        self.report.unchanged = sum(counts[file.number] for file in todo.unchanged)
        self._progress.files_total, self._progress.bytes_total = len(todo.work), todo.bytes
        for work in todo.work:
            self._file(work)
            self._progress.files += 1
            self._progress.bytes += work.signature[0]
            self._on_progress(self._progress)
        self._flush()
        self._settle()
        self._remove(missing)
        self._flush()
        self._finish(todo)
        self.report.seconds = time.time() - start
        return self.report

    def _finish(self, todo: Plan) -> None:
        with self._target.writing() as catalogue:
            if not self._keep_missing:
                for source in todo.absorbed:
                    catalogue.remove_source(source.number)
            for source in todo.whole:
                catalogue.complete_source(source.number, time.time())

    # ----------------------------------------------------------------------------------------------------------- files

    def _file(self, work: Work) -> None:
        """Read a file, and collect the changes."""
        number = None if work.known is None else work.known.number
        entry = Entry(work.source.number, work.found.path, work.path, work.signature, self._settings, number=number)
        places = Places(work.path)
        known: dict[str, Stored] = {}
        waiting: list[tuple[Passage, str]] = []
        content: bytes | None = None
        problem: Problem | None = None
        try:
            file = open_work(work)
        except OSError as error:
            self._failed(work, reading.problem(work.path, error))
            return
        with file:
            try:
                content = content_hash(file)
            except OSError as error:
                self._failed(work, reading.problem(work.path, error))
                return
            if number is not None:
                with self._target.reading() as catalogue:
                    known, lost = catalogue.passages(number)
                self._batch.removed |= lost
            if work.known is not None and not work.changed and work.known.content == content:
                self._same(work, entry, len(known))
                return
            passages = reading.read(file, work.path, self._measure, places.fault)
            while True:
                try:
                    passage, place = next(passages, (None, ""))
                except Exception as error:  # noqa: BLE001 - one bad file must not stop the others, see reading.problem
                    problem = reading.problem(work.path, error)
                    break
                if passage is None:
                    break
                if not self._passage(entry, known, passage, place, places):
                    waiting.append((passage, place))
                self._flush_full()
        if number is not None:
            self._unread.discard(number)
        if problem is not None and not problem.skipped:
            self._failed(work, problem, kept=len(known))
        else:
            for id_, stored in known.items():
                self._batch.removed[id_] = stored
            self.report.removed += len(known)
        if problem is None:
            self._count(work, content)
        elif problem.skipped:
            self.report.problems.append(problem)
            entry.problem = None if problem.again else problem.reason
        complete = content if problem is None or problem.skipped else None
        if waiting:
            self._postponed.append((entry, complete, waiting, places))
            return
        self._complete(entry, complete, places)

    def _same(self, work: Work, entry: Entry, passages: int) -> None:
        """The file's bytes are unchanged; only its times are recorded."""
        assert work.known is not None
        entry.content, entry.problem = work.known.content, work.known.problem
        self._batch.entries[entry] = None
        self._unread.discard(work.known.number)
        self.report.unchanged += passages
        if entry.problem is None:
            self.report.files_unchanged += 1
        else:
            self.report.problems.append(Problem(work.path, entry.problem, skipped=True, again=False))

    def _complete(self, entry: Entry, content: bytes | None, places: Places) -> None:
        """Record a file as read; if a part could not be read, the next run reads it again."""
        self.report.problems += places.problems()
        entry.content = None if places.count else content
        self._batch.entries[entry] = None

    def _failed(self, work: Work, problem: Problem, kept: int = 0) -> None:
        """Report the problem; the file's passages stay as they are."""
        self.report.problems.append(problem)
        self.report.unchanged += kept

    def _count(self, work: Work, content: bytes | None) -> None:
        if work.known is not None:
            self.report.files_changed += 1
        elif content is not None and self._gone_contents[content] > 0:
            self._gone_contents[content] -= 1
            self.report.files_renamed += 1
        else:
            self.report.files_new += 1

    # -------------------------------------------------------------------------------------------------------- passages

    def _passage(
        self,
        entry: Entry,
        known: dict[str, Stored],
        passage: Passage,
        place: str,
        places: Places,
        *,
        last: bool = False,
    ) -> bool:
        """Collect the changes of a passage; False if its id belongs to a file that is still to be read."""
        change = _change(entry, passage)
        stored = known.pop(change.id, None)
        if stored is not None:
            self._stored(change, stored)
            return True
        owner = self._batch.owner(change.id)
        if owner is not None:
            places.fault(place, f"has the id {change.id}, which {owner.shown} has already")
            return True
        if change.id in self._batch.removed:
            self._flush()
        with self._target.reading() as catalogue:
            other = catalogue.passage(change.id)
            if other is None:
                if catalogue.is_document(change.id):
                    places.fault(
                        place, f"has the id {change.id} of a document that was not added from a file; that one was kept"
                    )
                elif (old := self._like(catalogue, change)) is not None:
                    self._batch.moved[change.id] = old, change
                    self._taken.add(old)
                    self.report.moved += 1
                else:
                    self._put(change)
                return True
            if other.file in self._gone:
                self._taken.add(change.id)
                if other.text == change.text_digest:
                    self._batch.moved[change.id] = change.id, change
                    self.report.moved += 1
                else:
                    self._put(change)
                return True
            if other.file in self._unread and not last:
                return False
            places.fault(place, f"has the id {change.id}, which {catalogue.shown(other.file)} has already")
            return True

    def _stored(self, change: Change, stored: Stored) -> None:
        """Handle a passage whose id the file had before."""
        if stored.text != change.text_digest:
            self._put(change)
            return
        self.report.unchanged += 1
        if stored.metadata != change.metadata_digest:
            self._batch.updated[change.id] = change

    def _put(self, change: Change) -> None:
        self._batch.put[change.id] = change
        self._batch.tokens += min(self._measure.limit, len(change.text)) + 4
        self.report.added += 1

    def _like(self, catalogue: SourceCatalogue, change: Change) -> str | None:
        """Id of a document with the same text that belongs to a deleted file."""
        if not self._gone:
            return None
        for id_, file in catalogue.with_text(change.text_digest):
            if file in self._gone and id_ not in self._taken:
                return id_
        return None

    def _settle(self) -> None:
        """Handle postponed passages: the files that had their ids have been read now."""
        for entry, content, waiting, places in self._postponed:
            for passage, place in waiting:
                self._passage(entry, {}, passage, place, places, last=True)
                self._flush_full()
            self._complete(entry, content, places)
        self._flush()

    def _remove(self, missing: Iterable[File]) -> None:
        """Remove the remaining passages of deleted files."""
        for file in missing:
            with self._target.reading() as catalogue:
                left, lost = catalogue.passages(file.number)
            self._batch.removed |= left | lost
            self._batch.forgotten.append(file.number)
            self.report.removed += len(left)
            self._flush_full()
        self.report.files_removed = len(list(missing)) - self.report.files_renamed

    def _flush_full(self) -> None:
        if (
            self._batch.tokens >= GROUP_TOKENS
            or len(self._batch.put) >= GROUP_DOCUMENTS
            or len(self._batch) >= _CHANGES
        ):
            self._flush()

    def _flush(self) -> None:
        if not len(self._batch):
            return
        batch, self._batch = self._batch, Batch()

        def encoded(count: int) -> None:
            self._progress.passages += count
            self._on_progress(self._progress)

        self._target.apply(batch, encoded)


def _change(entry: Entry, passage: Passage) -> Change:
    metadata = metadata_json(passage.id, passage.metadata)
    return Change(encoded_id(passage.id), passage.text, metadata, entry, digest(passage.text), digest(metadata))
