"""Search over shards as a Ray Serve application: a deployment per shard, and one that asks them all.

```python
from ray import serve
from latelite.integrations.ray.serving import application

handle = serve.run(application("shards/"))     # reserves a CPU for each shard and one more, see num_cpus
handle.search.remote("Wann fährt der Zug?", k=5).result()     # list[latelite.results.Hit]
```

Over HTTP: ``POST /`` with ``{"query": "...", "k": 5, "where": {...}, "mode": "hybrid"}`` answers ``{"hits": [...]}``.
Scores are those of one collection with all documents, see `latelite.integrations.shards`.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from latelite.collection import Collection
from latelite.errors import IndexMismatchError
from latelite.explain import Question
from latelite.integrations import missing
from latelite.integrations.sharding import ShardsManifest
from latelite.integrations.shards import add_up, merge, put
from latelite.lexical import Statistics
from latelite.manifest import Precision
from latelite.results import Hit
from latelite.search import Mode

try:
    from ray import serve
    from starlette.requests import Request
    from starlette.responses import JSONResponse
except ImportError as error:
    raise missing("ray[serve]", "ray-serve", error) from error

_OPTIONS = {"query", "k", "where", "mode", "explain", "min_score", "group_by"}


def application(folder: str | Path, *, precision: Precision | None = None, num_cpus: float = 1) -> serve.Application:
    """The application that searches a folder that `write_shards` made.

    Args:
        folder: at the same path on every node, on a disk that all of them reach.
        precision: graph that encodes queries.
        num_cpus: that each deployment's replica reserves.

    Raises:
        IndexNotFoundError: the folder holds no shards.
        IndexCorruptError: its description is damaged.
    """
    root = Path(folder).absolute()
    folders = [os.fspath(each) for each in ShardsManifest.read(root).folders(root)]
    options = {"num_cpus": num_cpus}
    shards = [
        _Shard.options(name=Path(each).stem, ray_actor_options=options).bind(each, precision)  # type: ignore[attr-defined]
        for each in folders
    ]
    return _Search.options(ray_actor_options=options).bind(folders[0], precision, *shards)  # type: ignore[attr-defined, no-any-return]


@serve.deployment
class _Shard:
    """One collection."""

    def __init__(self, folder: str, precision: Precision | None) -> None:
        self._collection = Collection(folder, precision=precision, threads=1, read_only=True)

    def statistics(self, fingerprint: str, questions: list[Question]) -> list[Statistics]:
        return put(self._collection, fingerprint, lambda searcher: searcher.statistics(questions))

    def answers(
        self, fingerprint: str, questions: list[Question], k: int, totals: list[Statistics], options: dict[str, Any]
    ) -> list[list[Hit]]:
        return put(
            self._collection,
            fingerprint,
            lambda searcher: searcher.answers(questions, k, statistics=totals, **options),
        )


@serve.deployment
class _Search:
    """Encodes a query, asks all shards, and merges what they found."""

    def __init__(self, folder: str, precision: Precision | None, *shards: Any) -> None:
        self._encoding = Collection(folder, precision=precision, threads=1, read_only=True)
        self._shards = shards

    async def search(
        self,
        query: str,
        k: int = 5,
        *,
        where: dict[str, Any] | None = None,
        mode: Mode = "hybrid",
        explain: bool = False,
        min_score: float | None = None,
        group_by: str | None = None,
    ) -> list[Hit]:
        """See `latelite.Collection.search`."""
        options = {"where": where, "mode": mode, "explained": explain, "min_score": min_score, "group_by": group_by}
        try:
            return await self._found(query, k, options)
        except IndexMismatchError:  # shards were reindexed with another model
            len(self._encoding)  # looks at the folder, and follows
            return await self._found(query, k, options)

    async def _found(self, query: str, k: int, options: dict[str, Any]) -> list[Hit]:
        fingerprint, questions = self._encoding.ask(
            lambda searcher: (
                searcher.model.manifest.fingerprint,
                searcher.questions([query], options["mode"], explained=options["explained"]),
            )
        )
        totals = add_up(await asyncio.gather(*(s.statistics.remote(fingerprint, questions) for s in self._shards)))
        found = await asyncio.gather(
            *(s.answers.remote(fingerprint, questions, k, totals, options) for s in self._shards)
        )
        return merge([per_shard[0] for per_shard in found], k, options["group_by"])

    async def __call__(self, request: Request) -> JSONResponse:
        try:
            asked = await request.json()
            unknown = set(asked) - _OPTIONS
            if unknown or "query" not in asked:
                raise ValueError(f"a search has a query, and may have {', '.join(sorted(_OPTIONS - {'query'}))}.")
            hits = await self.search(asked.pop("query"), **asked)
        except (TypeError, ValueError) as error:
            return JSONResponse({"error": str(getattr(error, "cause", error))}, 400)  # a shard's error is Ray's
        return JSONResponse({"hits": [asdict(hit) for hit in hits]})
