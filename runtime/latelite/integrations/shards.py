"""Several collections searched as one: the shards of a corpus that one machine, or one writer, is too small for.

```python
from latelite.integrations.shards import Shards

with Shards(["a.lt", "b.lt"]) as shards:
    hits = shards.search("Wann fährt der Zug?", k=10)
```

The answer is that of one collection with all documents: words are weighed by how many documents of *all* shards have
them, and how long these are on average, so scores of different shards compare. Two things differ. Token vectors are
rounded to int8 on a grid of their own in each shard, which moves scores by a few thousandths. Documents with equal
scores come in the order of the shards.

A shard that is reindexed while it is open is followed, as a collection is. With another model for it, searches raise
IndexMismatchError until all shards have that model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from itertools import chain
from operator import add
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from latelite.collection import Collection
from latelite.errors import IndexMismatchError, StoreError, UnknownIdError
from latelite.integrations.sharding import ShardsManifest
from latelite.lexical import Statistics
from latelite.manifest import Precision
from latelite.models import ColBERT
from latelite.results import Document, Hit
from latelite.search import Mode, Searcher, Where, first_of_each_group

Answer = TypeVar("Answer")


class Shards:
    """Reads several collections of one model. Safe to use from several threads.

    Args:
        folders: of the collections. An id may be in one of them only; this is not checked.
        precision: graph that encodes queries, see `Collection`.
        threads: CPU threads for encoding queries; default: all usable.

    Raises:
        ValueError: no folder is named.
        IndexNotFoundError: a folder holds no collection.
        IndexMismatchError: the collections were made with different models.
    """

    def __init__(
        self, folders: Iterable[str | Path], *, precision: Precision | None = None, threads: int | None = None
    ) -> None:
        named = list(folders)
        if not named:
            raise ValueError("Shards needs the folder of one collection at least.")
        self.collections: list[Collection] = []
        try:
            first = Collection(named[0], precision=precision, threads=threads, read_only=True)
            self.collections.append(first)
            self.collections += [Collection(each, first.model, read_only=True) for each in named[1:]]
        except BaseException:
            self.close()
            raise
        self._pool = ThreadPoolExecutor(len(named), "latelite-shard")

    @classmethod
    def open(cls, folder: str | Path, *, precision: Precision | None = None, threads: int | None = None) -> Shards:
        """Open a folder that `latelite.integrations.ray.write_shards` made.

        Raises:
            IndexNotFoundError: it holds no shards.
            IndexCorruptError: its description is damaged.
            StoreError: its first run was not completed.
        """
        root = Path(folder).expanduser()
        manifest = ShardsManifest.read(root)
        if manifest.documents is None:
            raise StoreError(f"{root} is not complete: the run that writes it was stopped; repeat it.")
        return cls(manifest.folders(root), precision=precision, threads=threads)

    @property
    def model(self) -> ColBERT:
        """The encoder of queries."""
        return self.collections[0].model

    def search(
        self,
        query: str,
        k: int = 5,
        *,
        where: Where | None = None,
        mode: Mode = "hybrid",
        explain: bool = False,
        min_score: float | None = None,
        group_by: str | None = None,
    ) -> list[Hit]:
        """The best ``k`` documents of all shards, see `Collection.search`."""
        (hits,) = self.search_batch(
            [query], k, where=where, mode=mode, explain=explain, min_score=min_score, group_by=group_by
        )
        return hits

    def search_batch(
        self,
        queries: Sequence[str],
        k: int = 5,
        *,
        where: Where | None = None,
        mode: Mode = "hybrid",
        explain: bool = False,
        min_score: float | None = None,
        group_by: str | None = None,
    ) -> list[list[Hit]]:
        """As `search` for each of several queries."""
        if isinstance(queries, str):
            raise TypeError("search_batch takes a list of queries; search takes one.")

        def found() -> list[list[Hit]]:
            fingerprint, questions = self.collections[0].ask(
                lambda searcher: (
                    searcher.model.manifest.fingerprint,
                    searcher.questions(queries, mode, explained=explain),
                )
            )
            totals = add_up(self._each(lambda shard: put(shard, fingerprint, lambda it: it.statistics(questions))))
            hits = self._each(
                lambda shard: put(
                    shard,
                    fingerprint,
                    lambda searcher: searcher.answers(
                        questions,
                        k,
                        where=where,
                        mode=mode,
                        explained=explain,
                        min_score=min_score,
                        group_by=group_by,
                        statistics=totals,
                    ),
                )
            )
            return [merge(per_query, k, group_by) for per_query in zip(*hits, strict=True)]

        try:
            return found()
        except IndexMismatchError:  # a shard that was followed has another model; perhaps all of them have
            return found()

    def get(self, id: int | str) -> Document:
        """The stored document with an id; raises UnknownIdError when no shard has it."""
        for shard in self.collections:
            found = shard.get(id, None)
            if found is not None:
                return found
        raise UnknownIdError(f"The id {id!r} is in no shard.")

    def count(self, where: Where | None = None) -> int:
        """How many documents all shards have, or match a filter."""
        return sum(self._each(lambda shard: shard.count(where)))

    def __len__(self) -> int:
        return sum(map(len, self.collections))

    def __bool__(self) -> bool:
        return True

    def close(self) -> None:
        """Let go of all collections."""
        for shard in self.collections:
            shard.close()
        if hasattr(self, "_pool"):
            self._pool.shutdown()

    def __enter__(self) -> Shards:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _each(self, ask: Callable[[Collection], Answer]) -> list[Answer]:
        return list(self._pool.map(ask, self.collections))


def put(shard: Collection, fingerprint: str, question: Callable[[Searcher], Answer]) -> Answer:
    """Put a question to a shard, of the model with this fingerprint.

    Raises:
        IndexMismatchError: the shard has another model.
    """

    def checked(searcher: Searcher) -> Answer:
        if searcher.model.manifest.fingerprint != fingerprint:
            raise IndexMismatchError(
                f"a shard was reindexed with the model {searcher.model.manifest.checkpoint['id']!r}, another one than "
                "the first shard's; reindex all shards with one model."
            )
        return question(searcher)

    return shard.ask(checked)


def add_up(per_shard: Sequence[Sequence[Statistics]]) -> list[Statistics]:
    """Per question what BM25 has to know of the documents of all shards."""
    return [reduce(add, each) for each in zip(*per_shard, strict=True)]


def merge(per_shard: Sequence[Sequence[Hit]], k: int, group_by: str | None) -> list[Hit]:
    """The best ``k`` hits of one query out of those of each shard; with ``group_by`` one of each group."""
    ordered = sorted(chain(*per_shard), key=lambda hit: -hit.score)  # stable: equal ones in the order of the shards
    if group_by is not None:
        ordered = first_of_each_group(ordered, group_by, lambda hit: hit.metadata)
    return ordered[:k]
