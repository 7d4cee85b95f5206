"""Question and exclamation marks, which the tokenizer drops.

Their vectors match arbitrary tokens of a text in another language. Without "¿", Spanish questions about English text
gain three points of nDCG@10; without "?", German, Dutch and Portuguese ones gain one.
"""

from __future__ import annotations

from tokenizers import Regex, Tokenizer, normalizers

MARKS = r"[¿¡]|\s*[?!]"
"""Trailing marks are dropped with the space before them."""


def drop_marks(tokenizer: Tokenizer) -> None:
    """Make the tokenizer's normaliser drop ``MARKS``."""
    dropped = normalizers.Replace(Regex(MARKS), "")
    tokenizer.normalizer = normalizers.Sequence([tokenizer.normalizer, dropped] if tokenizer.normalizer else [dropped])
