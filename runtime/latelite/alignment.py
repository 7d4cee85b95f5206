"""Normalised texts, with a map from their characters to the original text.

Tokenizers accept valid UTF-8 only, some models need lower case, and lexical search folds case. Each may change the
length of a text ("ß" becomes "ss", a surrogate pair one character), but reported spans must refer to the original text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

_CHARACTERS = re.compile("[\ud800-\udbff][\udc00-\udfff]|.", re.DOTALL)


def well_formed(text: str) -> str:
    """Join surrogate pairs and replace unpaired surrogates by U+FFFD.

    Python strings may contain surrogates (file names decoded with ``surrogateescape``, JSON truncated in an emoji); the
    tokenizer would raise an error on them.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def align(text: str, change: Callable[[str], str] | None = None) -> tuple[str, Ints]:
    """The well-formed text after ``change``, and for each of its characters the span in ``text`` that it comes from.

    Args:
        change: ``str.casefold`` or ``str.lower``, which map characters one by one and drop none.

    Returns:
        The text, and (characters, 2) int64.
    """
    try:
        text.encode("utf-8")
        characters, starts = text, np.arange(len(text) + 1)
    except UnicodeEncodeError:
        starts = np.cumsum([0, *(len(match[0]) for match in _CHARACTERS.finditer(text))])
        characters = well_formed(text)
    changed = characters if change is None else change(characters)
    source = np.stack([starts[:-1], starts[1:]], axis=1)
    if len(changed) != len(characters):
        assert change is not None
        source = np.repeat(source, [len(change(character)) for character in characters], axis=0)
    return changed, source


def original_spans(offsets: Any, source: Ints) -> Ints:
    """Map spans of a changed text to spans of the original text.

    Args:
        offsets: (tokens, 2); positions outside the changed text are clipped.
        source: (characters, 2) from `align`.
    """
    spans = np.array(offsets, np.int64).reshape(-1, 2)
    if not len(source):
        return np.zeros_like(spans)
    first = np.clip(spans[:, 0], 0, len(source) - 1)
    last = np.clip(spans[:, 1] - 1, first, len(source) - 1)
    return np.stack([source[first, 0], source[last, 1]], axis=1)
