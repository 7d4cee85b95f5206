"""Stage *inflections*: other forms of words, rare ones too.

Translations come in the most frequent forms of a word. People ask in others: "Wie lösche ich", "¿Cómo calculo".
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

from recipe.lexicon import FORMS, Forms, Table
from recipe.pins import LANGUAGES

logger = logging.getLogger(__name__)

RARE = 200_000
"""Words of a language that count as forms in use."""
MOST = 12
"""Forms of a word."""


def inflections(forms: Forms) -> Table:
    """The other forms of every frequent word, keys in lower case."""
    found = {word: forms.inflected(word, MOST)[1:] for word in forms.words[:FORMS]}
    return {word: others for word, others in found.items() if others}


def build_inflections(words: Path, folder: Path) -> None:
    """Write ``inflections.json``: ``{"de": {form: [other form, ...]}}``."""
    written = {}
    for language in LANGUAGES:
        written[language] = inflections(Forms(words, language, RARE))
        logger.info("inflections: %s %d words", language, len(written[language]))
    (folder / "inflections.json").write_text(json.dumps(written, ensure_ascii=False) + "\n", encoding="utf-8")
