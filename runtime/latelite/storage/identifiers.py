"""Document ids: what is accepted, and how they are written."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np

from latelite.errors import DuplicateIdError

DocumentId = str | int


def checked_ids(ids: Iterable[Any]) -> list[DocumentId]:
    """Return ``ids`` as str and int, NumPy's integers converted.

    Raises:
        TypeError: an id is neither a string nor an integer. ``True`` is refused: it equals 1 in Python, but not in
            the files.
        DuplicateIdError: an id occurs twice.
    """
    if isinstance(ids, str | bytes):
        raise TypeError("documents_ids must be a list of ids, not one string.")
    checked = [checked_id(i) for i in ids]
    if len(set(checked)) != len(checked):
        seen: set[DocumentId] = set()
        for i in checked:
            if i in seen:
                raise DuplicateIdError(f"The id {i!r} occurs twice in one call; each document needs its own.")
            seen.add(i)
    return checked


def checked_id(value: Any) -> DocumentId:
    """Return one id as str or int; raises TypeError for anything else."""
    if isinstance(value, str):
        return str.__str__(value)  # of a string enumeration its value, not its name
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return int(value)
    raise TypeError(f"A document id must be a string or an integer, not {value!r} ({type(value).__name__}).")


def encoded_id(value: DocumentId) -> str:
    """As ASCII JSON, so ``1`` and ``"1"`` differ and any string survives.

    Raises:
        ValueError: an integer of more digits than Python converts.
    """
    return json.dumps(value)


def decoded_id(text: str) -> DocumentId:
    """The id that `encoded_id` wrote; raises ValueError when it is not one."""
    value = json.loads(text)
    return checked_id(value)
