"""Which values the metadata of a collection has: what a reader can narrow a search by."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latelite.collection import Collection

_MOST_DOCUMENTS = 50_000
"""That are counted; a larger collection says that its counts are of a part."""
_MOST_VALUES = 200
"""Different values of a field; one with more (a title, a line number) narrows nothing."""
_SHOWN_VALUES = 12
_SHOWN_FIELDS = 8
_REMEMBERED = 32
_SECONDS = 30.0
"""After which counts are taken anew; a writer may have been there."""

PLACES = ("page", "line", "start", "number")
"""Metadata that tells the order of a file's passages, the coarsest first."""

Value = str | int | float | bool


class Facets:
    """Counts values, and remembers the counts for half a minute. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._remembered: OrderedDict[tuple[int, str], tuple[float, dict[str, Any]]] = OrderedDict()

    def count(self, collection: Collection, where: Mapping[str, Any] | None) -> dict[str, Any]:
        """Fields with their most frequent values.

        Returns:
            ``{"documents": how many were counted, "complete": whether all were, "facets": see `count_values`}``

        Raises:
            ValueError: the condition cannot be read.
        """
        key = (id(collection), json.dumps(where, sort_keys=True))
        with self._lock:
            known = self._remembered.get(key)
        if known is not None and time.monotonic() - known[0] < _SECONDS:
            return known[1]
        metadata = (document.metadata for document in collection.documents(where=where, limit=_MOST_DOCUMENTS))
        counted, found = count_values(metadata)
        result = {"documents": counted, "complete": counted < _MOST_DOCUMENTS, "facets": found}
        with self._lock:
            self._remembered[key] = (time.monotonic(), result)
            self._remembered.move_to_end(key)
            while len(self._remembered) > _REMEMBERED:
                self._remembered.popitem(last=False)
        return result


def count_values(metadata: Iterable[Mapping[str, Any]]) -> tuple[int, list[dict[str, Any]]]:
    """Fields that are worth offering, and their most frequent values.

    Strings, numbers and truths are counted, and each entry of a list of them. A field with too many values, with none
    that occurs twice, or that tells a passage's place in its file, is left out.

    Returns:
        How many documents there were, and ``[{"field", "many", "values": [{"value", "count"}]}]``, where ``many`` says
        that a document can have several values.
    """
    # The type is part of the key, since True == 1 == 1.0.
    counts: dict[str, Counter[tuple[type, Value]]] = {}
    lists: set[str] = set()
    too_many: set[str] = set()
    documents = 0
    for fields in metadata:
        documents += 1
        for field, value in fields.items():
            if field in too_many or field in PLACES:
                continue
            counter = counts.setdefault(field, Counter())
            if isinstance(value, list):
                lists.add(field)
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, str | int | float) and len(str(each)) <= 200:
                    counter[type(each), each] += 1
            if len(counter) > _MOST_VALUES:
                too_many.add(field)
                del counts[field]
    offered = [(field, counter) for field, counter in counts.items() if counter and max(counter.values()) > 1]
    # Fields that most documents have come first; the order of appearance decides between equals.
    offered.sort(key=lambda pair: -sum(pair[1].values()))
    return documents, [
        {
            "field": field,
            "many": field in lists,
            "values": [{"value": value, "count": count} for (_, value), count in counter.most_common(_SHOWN_VALUES)],
        }
        for field, counter in offered[:_SHOWN_FIELDS]
    ]
