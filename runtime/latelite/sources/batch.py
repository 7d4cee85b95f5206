"""Changes committed together: documents, and the records of their files."""

from __future__ import annotations

from dataclasses import dataclass, field

from latelite.sources.catalogue import File, SourceCatalogue, Stored


@dataclass(eq=False)
class Entry:
    """The new record of a file."""

    source: int
    path: str
    """Path within its source."""
    shown: str
    signature: tuple[int, int, int]
    settings: str
    content: bytes | None = None
    problem: str | None = None
    number: int | None = None
    """Number in the catalogue, once recorded."""

    def record(self, catalogue: SourceCatalogue) -> int:
        """Write the record; returns its number."""
        file = File(0, self.source, self.path, self.signature, self.content, self.settings, self.problem)
        self.number = catalogue.put_file(file)
        return self.number


@dataclass(frozen=True, eq=False)
class Change:
    """The new state of a document."""

    id: str
    """Encoded."""
    text: str
    metadata: str
    """ASCII JSON."""
    entry: Entry
    text_digest: bytes
    metadata_digest: bytes

    @property
    def stored(self) -> Stored:
        """The record of the passage; its file must be in the catalogue."""
        assert self.entry.number is not None
        return Stored(self.entry.number, self.text_digest, self.metadata_digest)


@dataclass
class Batch:
    """Changes by encoded id, in the order in which they are carried out."""

    removed: dict[str, Stored] = field(default_factory=dict)
    moved: dict[str, tuple[str, Change]] = field(default_factory=dict)
    """New id -> (present id, new state) of documents whose text stays."""
    updated: dict[str, Change] = field(default_factory=dict)
    """Documents of which only the metadata changes."""
    put: dict[str, Change] = field(default_factory=dict)
    entries: dict[Entry, None] = field(default_factory=dict)
    """Files read to the end."""
    forgotten: list[int] = field(default_factory=list)
    """Files that no longer exist."""
    tokens: int = 0
    """Upper bound of the tokens in ``put``."""

    def __len__(self) -> int:
        documents = len(self.removed) + len(self.moved) + len(self.updated) + len(self.put)
        return documents + len(self.entries) + len(self.forgotten)

    def owner(self, id: str) -> Entry | None:
        """The file of the waiting new document with this id."""
        if id in self.put:
            return self.put[id].entry
        return self.moved[id][1].entry if id in self.moved else None

    def record(self, catalogue: SourceCatalogue) -> None:
        """Apply the changes to the tables."""
        changes = [*(change for _, change in self.moved.values()), *self.updated.values(), *self.put.values()]
        for entry in dict.fromkeys([*(change.entry for change in changes), *self.entries]):
            entry.record(catalogue)
        for id_ in self.removed:
            catalogue.remove_passage(id_)
        for old, _ in self.moved.values():
            catalogue.remove_passage(old)
        for change in changes:
            catalogue.put_passage(change.id, change.stored)
        for number in self.forgotten:
            catalogue.remove_file(number)
