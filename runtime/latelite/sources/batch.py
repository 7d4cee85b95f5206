"""Changes that are carried out together: documents, and what is known of the files that they come from."""

from __future__ import annotations

from dataclasses import dataclass, field

from latelite.sources.catalogue import File, SourceCatalogue, Stored


@dataclass(eq=False)
class Entry:
    """What will be known of a file."""

    source: int
    path: str
    """Within its source."""
    shown: str
    signature: tuple[int, int, int]
    settings: str
    content: bytes | None = None
    problem: str | None = None
    number: int | None = None
    """In the catalogue, once it is there."""

    def record(self, catalogue: SourceCatalogue) -> int:
        """Write it; returns its number."""
        file = File(0, self.source, self.path, self.signature, self.content, self.settings, self.problem)
        self.number = catalogue.put_file(file)
        return self.number


@dataclass(frozen=True, eq=False)
class Change:
    """A document as it shall be."""

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
        """What is remembered of it; its file is in the catalogue already."""
        assert self.entry.number is not None
        return Stored(self.entry.number, self.text_digest, self.metadata_digest)


@dataclass
class Batch:
    """In the order in which it is carried out; by encoded id."""

    removed: dict[str, Stored] = field(default_factory=dict)
    moved: dict[str, tuple[str, Change]] = field(default_factory=dict)
    """New id -> the id that the document has so far, and what it shall be; its text stays."""
    updated: dict[str, Change] = field(default_factory=dict)
    """Only the metadata changes."""
    put: dict[str, Change] = field(default_factory=dict)
    entries: dict[Entry, None] = field(default_factory=dict)
    """Files that have been read to their end."""
    forgotten: list[int] = field(default_factory=list)
    """Files that are no longer there."""
    tokens: int = 0
    """Of the texts in ``put``, at most."""

    def __len__(self) -> int:
        documents = len(self.removed) + len(self.moved) + len(self.updated) + len(self.put)
        return documents + len(self.entries) + len(self.forgotten)

    def owner(self, id: str) -> Entry | None:
        """The file for which a new document with this id is waiting."""
        if id in self.put:
            return self.put[id].entry
        return self.moved[id][1].entry if id in self.moved else None

    def record(self, catalogue: SourceCatalogue) -> None:
        """Change the tables."""
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
