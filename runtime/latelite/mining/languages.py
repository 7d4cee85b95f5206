"""Language detection among the seven languages, by frequent words."""

from __future__ import annotations

import re

_FREQUENT = {
    "de": "der die das und ist nicht ein eine mit von zu den auf für im dem sich auch werden wird des",
    "en": "the of and to in is that for it with as are on be this by from or an was which can",
    "es": "el la los las de que y en un una es por con para del se no al lo como más su",
    "fr": "le la les des et est un une dans pour que qui sur par avec ne pas du au ce sont",
    "it": "il lo la gli di che e un una è per con non del della in si dei sono nel alla",
    "nl": "de het een van en is dat niet op te in voor met zijn aan door wordt ook die bij",
    "pt": "o a os as de que e em um uma é por com para não do da no na dos se mais",
}
_WORDS = {language: frozenset(words.split()) for language, words in _FREQUENT.items()}
_LETTERS = re.compile(r"[^\W\d_]+")
_READ = 2000
_LEAST = 0.08
"""Minimum share of a text's words that are frequent words of its language."""


def language_of(text: str) -> str | None:
    """The text's language, one of ``de en es fr it nl pt``; None if none of them is likely."""
    words = [word.lower() for word in _LETTERS.findall(text[:_READ])]
    if not words:
        return None
    shares = {language: sum(word in known for word in words) / len(words) for language, known in _WORDS.items()}
    best = max(shares, key=lambda language: shares[language])
    return best if shares[best] >= _LEAST else None
