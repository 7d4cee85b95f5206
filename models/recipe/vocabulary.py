"""Stage *vocabulary*: 250,002 subwords reduced to those that the seven languages and the training text use most.

Some whole words replace rare subwords (``whole_words``), and the tokenizer drops question and exclamation marks
(``marks``).
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
from recipe.pins import LANGUAGES
from recipe.subwords import (
    WORDS_PER_LANGUAGE,
    Counts,
    choose,
    cut_tokenizer,
    subword_shares,
    use_in_seven_languages,
    word_forms,
)
from recipe.translations import Table

SIZE = 22_500
"""Size of the vocabulary; with 4 layers of 384 it gives 15.99 M parameters."""
EXAMPLES_WEIGHT = 1.0
"""Weight of a language's training text relative to its word list; its sources have equal weight."""
PER_SOURCE = 3_000
"""Number of documents counted per source and language."""
LONGEST = 1_500
"""Characters counted per training text."""

Texts = dict[str, dict[str, list[str]]]
"""Texts by language and source."""


def sample_texts(examples: Path) -> Texts:
    """The training documents to count."""
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for document in read_documents(examples):
        kept = found[document.language][document.source]
        if not document.held_out and len(kept) < PER_SOURCE:
            kept.append(document.text[:LONGEST])
    return found


def use_in_examples(tokenizer: Tokenizer, texts: Texts) -> dict[str, Counts]:
    """Frequency of each subword in each language's training documents, ``(vocabulary,)`` summing to 1."""
    return {
        language: np.mean([subword_shares(tokenizer, ((text, 1.0) for text in found)) for found in sources.values()], 0)
        for language, sources in sorted(texts.items())
    }


def words_in_use(words: Path, texts: Texts) -> dict[str, float]:
    """Frequency of each word: its shares of each language's word list and training documents, summed.

    The sources of a language have equal weight.
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
    """Write ``tokenizer.json``, ``subwords.json``, ``words.json`` and ``coverage.json`` to ``folder``.

    ``subwords.json`` lists the kept subwords in order, ``words.json`` the added whole words with their meanings.
    Coverage is, per language, the share of the original's tokens in the training documents that are kept.
    """
    original = (source / "tokenizer.json").read_text(encoding="utf-8")
    tokenizer = Tokenizer.from_str(original)
    texts = sample_texts(examples)
    use = words_in_use(words, texts)
    meant = whole_words.choose_words(tokenizer, use, tables)
    wide = whole_words.widen(original, meant, use)
    made = json.loads(wide)
    subwords = [subword for subword, _ in made["model"]["vocab"]]
    by_language = use_in_examples(Tokenizer.from_str(wide), texts)
    used = use_in_seven_languages(Tokenizer.from_str(wide), words, messages)
    used += EXAMPLES_WEIGHT * np.sum(list(by_language.values()), axis=0)
    used[len(subwords) - len(meant) :] = np.inf
    keep = choose(subwords, [token["content"] for token in made["added_tokens"]], used, size)
    student = Tokenizer.from_str(json.dumps(cut_tokenizer(made, keep)))
    drop_marks(student)
    student.save(str(folder / "tokenizer.json"))
    coverage = {language: round(float(shares[keep].sum()), 4) for language, shares in by_language.items()}
    for name, content in (
        ("subwords", [subwords[at] for at in keep]),
        ("words", meant),
        ("coverage", coverage),
    ):
        text = json.dumps(content, ensure_ascii=False, indent=1)
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
