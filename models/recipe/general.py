"""Training text in ``TEXTS/general``: encyclopaedic, news, everyday and parallel text in the seven languages.

A line of ``<source>.jsonl.gz`` is a text in one language (``lang``, ``text``, ``doc``, optionally ``title``). A line of
``<source>.parallel.jsonl.gz`` has a text, or a list of synonyms, for each of several languages. The model card lists
the sources' licences.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recipe.errors import FetchError
from recipe.pages import SHORTEST, Page
from recipe.pins import LANGUAGES

RESERVED = ("medquad-en", "code-travail-fr")
"""Domains that are never trained on: reserved for fine-tuning and evaluation."""
ARTICLES = (
    "additives-wikipedia", "african-storybook", "bosque-news-pt", "eltec-novels-de", "eltec-novels-en",
    "eltec-novels-es", "eltec-novels-fr", "eltec-novels-it", "eltec-novels-pt", "esco-descriptions", "exams-wiki-hits",
    "factbook-en", "klexikon-dewiki", "kstars-astroinfo", "openquizzdb", "openstax", "parlspeech-samples",
    "service-public-fr", "stellarium-skycultures", "ud-dutch", "wetten-nl", "wikinews-it", "wivico-fr",
    "wordnet-glosses",
)  # fmt: skip
SENTENCES = (
    "0ad", "cataclysm-dda", "esco-occupations-text", "freeciv", "freecol-widelands", "kstars-astroinfo",
    "openquizzdb", "qald-questions", "sdg-goals", "stellarium-skycultures", "stsb-multi-mt", "ud-pud", "wesnoth",
)  # fmt: skip
TERMS = (
    "cldr-isocodes-lexicon", "esco-lexicon", "freedict-lexicon", "geography-names", "openfoodfacts-taxonomies",
    "osm-presets", "wikidict-titles", "wordnet-omw",
)  # fmt: skip
SHORTEST_SENTENCE = 15
"""Minimum characters of a parallel text; shorter ones are terms."""
QUESTION, ANSWER = "/q", "/a"
"""Ends of the keys of a quiz's questions and of what there is to say about their answers."""


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a gzipped file of JSON lines."""
    if not path.exists():
        raise FetchError(f"{path} is missing: see models/README.md for the folders that the recipe reads")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def articles(texts: Path) -> Iterator[Page]:
    """Texts with titles or questions as queries; passages of one document are adjacent."""
    for source in ARTICLES:
        for number, row in enumerate(rows(texts / "general" / f"{source}.jsonl.gz")):
            if len(row["text"]) >= SHORTEST:
                title = row.get("title")
                yield Page(source, f"{row['doc']}#{number:06}", row["lang"], row["text"], (title,) if title else ())


def sentences(texts: Path) -> Iterator[Page]:
    """Sentences and paragraphs with their translations; a quiz question is the query of its answer."""
    for source in SENTENCES:
        found = {row["id"]: row for row in rows(texts / "general" / f"{source}.parallel.jsonl.gz")}
        for key, row in found.items():
            asked = found.get(key.removesuffix(ANSWER) + QUESTION, {}) if key.endswith(ANSWER) else {}
            for language in LANGUAGES:
                if len(row.get(language, "")) >= SHORTEST_SENTENCE:
                    queries = (asked[language],) if language in asked else ()
                    yield Page(f"{source}.parallel", key, language, row[language], queries)


def terms(texts: Path) -> Iterator[dict[str, list[str]]]:
    """Words and names with the same meaning, by language."""
    for source in TERMS:
        for row in rows(texts / "general" / f"{source}.parallel.jsonl.gz"):
            found = {language: row[language] for language in LANGUAGES if row.get(language)}
            if len(found) > 1:
                yield {language: [one] if isinstance(one, str) else one for language, one in found.items()}
