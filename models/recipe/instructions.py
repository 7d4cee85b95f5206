"""Words of how-to questions in other languages: forms of what English instructions begin with.

Documentation says "Delete a file", people ask "Wie lösche ich eine Datei". No list of frequent words has "lösche".
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from recipe.examples import read_documents, read_texts
from recipe.lexicon import Table
from recipe.pins import LANGUAGES

SOURCES = (
    "applications", "desktop", "details", "docstrings", "handbooks", "manuals", "messages", "office", "packages",
    "reference",
)  # fmt: skip
"""Where English documents are about programs."""
OPENING = re.compile(r"(?:^|[.:;\n] )([A-Z]?[a-z]+)(?= (?:a|an|the|all|this|one|any|every) )")
"""A word that begins a sentence and has an object."""
LONGEST = 400
"""Characters read of a document."""
VERBS = 70
"""The most frequent of them; later ones are nouns and adverbs more often."""
INFINITIVES = {
    "de": r"[a-zäöüß]{3,}(en|ern|eln)",
    "es": r"\w{2,}[aei]r",
    "fr": r"\w{2,}(er|ir|re)",
    "it": r"\w{2,}[aei]re",
    "nl": r"\w{3,}en",
    "pt": r"\w{2,}[aei]r",
}
TRANSLATIONS = 2
"""Of a verb in one language."""
AGREEING = 4
"""Languages in which a verb must have an infinitive among them."""
FORMS = 4
"""Other forms of an infinitive, the most frequent first."""


def openings(examples: Path) -> Counter[str]:
    """How often English instructions begin with each word, in lower case."""
    texts, _ = read_texts(examples)
    found: Counter[str] = Counter()
    for document in read_documents(examples):
        if document["language"] == "en" and document["source"] in SOURCES and not document["held_out"]:
            found.update(word.lower() for word in OPENING.findall(texts[document["text"]][:LONGEST]))
    return found


def asked(
    words: Iterable[str], alignment: Mapping[str, Table], inflections: Mapping[str, Table], verbs: int = VERBS
) -> dict[str, str]:
    """Infinitives and other forms in all languages -> the English verb, for the first ``verbs`` of ``words``."""
    found: dict[str, str] = {}
    count = 0
    for word in words:
        infinitives = {
            language: [
                text for text in alignment[f"en-{language}"].get(word, ())[:TRANSLATIONS]
                if re.fullmatch(INFINITIVES[language], text)
            ]
            for language in LANGUAGES
            if language != "en"
        }  # fmt: skip
        if sum(map(bool, infinitives.values())) < AGREEING:
            continue
        for language, texts in infinitives.items():
            for text in texts:
                for form in (text, *inflections[language].get(text, ())[:FORMS]):
                    found.setdefault(form, word)
        count += 1
        if count == verbs:
            break
    return found


def instruction_words(examples: Path, alignment: Path, inflections: Path) -> dict[str, str]:
    """``asked`` of the output of the stages of these names."""
    aligned = json.loads((alignment / "alignment.json").read_text(encoding="utf-8"))
    inflected = json.loads((inflections / "inflections.json").read_text(encoding="utf-8"))
    return asked((word for word, _ in openings(examples).most_common()), aligned, inflected)
