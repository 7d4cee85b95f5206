"""Stage *vocabulary*: 250,002 pieces cut to the few that the seven languages and the training text use most.

Some words get a piece of their own in the place of rare pieces (``whole_words``), and the tokenizer drops question
marks (``marks``).
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from itertools import islice
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from recipe import corpus, whole_words
from recipe.examples import read_documents
from recipe.marks import drop_marks
from recipe.pieces import (
    WORDS_PER_LANGUAGE,
    Counts,
    choose,
    cut_tokenizer,
    piece_shares,
    use_in_seven_languages,
    word_forms,
)
from recipe.pins import LANGUAGES
from recipe.translations import Table

SIZE = 22_500
"""Pieces and words kept: with 4 layers of 384 they make 15.99 M parameters."""
EXAMPLES_WEIGHT = 1.0
"""Weight of a language's training text, each source in equal parts, beside its words."""
PER_SOURCE = 3_000
"""Documents counted of one source in one language."""
LONGEST = 1_500
"""Characters counted of one training text."""

Texts = dict[str, dict[str, list[str]]]
"""Texts by language and source."""


def counted_texts(examples: Path) -> Texts:
    """The training documents that are counted."""
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for document in read_documents(examples):
        kept = found[document.language][document.source]
        if not document.held_out and len(kept) < PER_SOURCE:
            kept.append(document.text[:LONGEST])
    return found


def use_in_examples(tokenizer: Tokenizer, texts: Texts) -> dict[str, Counts]:
    """How much each piece is used in each language's training documents, ``(vocabulary,)`` summing to 1."""
    return {
        language: np.mean([piece_shares(tokenizer, ((text, 1.0) for text in found)) for found in sources.values()], 0)
        for language, sources in sorted(texts.items())
    }


def words_in_use(words: Path, texts: Texts) -> dict[str, float]:
    """How much each word is used: its share of each language's word list and of its training documents, added up.

    The sources of a language count alike.
    """
    use: dict[str, float] = defaultdict(float)
    for language in LANGUAGES:
        listed: Counter[str] = Counter()
        for word, weight in word_forms(islice(corpus.word_frequencies(words, language), WORDS_PER_LANGUAGE), language):
            listed[word] += weight  # type: ignore[assignment]
        sources = [Counter(word for text in found for word in whole_words.WORD.findall(text))
                   for found in texts.get(language, {}).values()]  # fmt: skip
        for counts, part in [(listed, 1.0), *((counts, 1 / len(sources)) for counts in sources)]:
            total = sum(counts.values())
            for word, count in counts.items():
                use[word] += part * count / total
    return use


def cut_vocabulary(
    source: Path, words: Path, messages: Path, examples: Path, tables: dict[str, Table], folder: Path, size: int = SIZE
) -> None:
    """Write ``tokenizer.json``, ``pieces.json``, ``words.json`` and ``coverage.json`` to ``folder``.

    ``pieces.json`` are the kept pieces in order, ``words.json`` those that are words of their own with their meanings;
    coverage is, per language, the share of the original's tokens of the training documents that are kept whole.
    """
    original = (source / "tokenizer.json").read_text(encoding="utf-8")
    tokenizer = Tokenizer.from_str(original)
    texts = counted_texts(examples)
    use = words_in_use(words, texts)
    meant = whole_words.choose_words(tokenizer, use, tables)
    wide = whole_words.widen(original, meant, use)
    made = json.loads(wide)
    pieces = [piece for piece, _ in made["model"]["vocab"]]
    by_language = use_in_examples(Tokenizer.from_str(wide), texts)
    used = use_in_seven_languages(Tokenizer.from_str(wide), words, messages)
    used += EXAMPLES_WEIGHT * np.sum(list(by_language.values()), axis=0)
    used[len(pieces) - len(meant) :] = np.inf
    keep = choose(pieces, [token["content"] for token in made["added_tokens"]], used, size)
    student = Tokenizer.from_str(json.dumps(cut_tokenizer(made, keep)))
    drop_marks(student)
    student.save(str(folder / "tokenizer.json"))
    coverage = {language: round(float(shares[keep].sum()), 4) for language, shares in by_language.items()}
    for name, content in (
        ("pieces", [pieces[at] for at in keep]),
        ("words", meant),
        ("coverage", coverage),
    ):
        text = json.dumps(content, ensure_ascii=False, indent=1)
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
