"""Stage *vocabulary*: the 250,002 pieces cut to the few that the seven languages and the training text use most."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from recipe.examples import MIXTURES, read_documents, read_texts
from recipe.pieces import Counts, choose, cut_tokenizer, piece_shares, use_in_seven_languages

SIZE = 22_400
"""Pieces kept: with 4 layers of 384 they make 15.95 M parameters."""
EXAMPLES_WEIGHT = 1.0
"""Weight of a language's training text, each source in equal parts, beside its words."""
UNCOUNTED = (*MIXTURES, "glosses", "messages", "reference", "docstrings")
"""Sources made of words that are counted already, and those of the last phases alone."""
LONGEST = 1_500
"""Characters counted of one training text."""


def use_in_examples(tokenizer: Tokenizer, examples: Path) -> dict[str, Counts]:
    """How much each piece is used in each language's training documents, ``(vocabulary,)`` summing to 1."""
    texts, _ = read_texts(examples)
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for document in read_documents(examples):
        if not document["held_out"] and document["source"] not in UNCOUNTED:
            groups[document["language"], document["source"]].append(texts[document["text"]][:LONGEST])
    shares: dict[str, list[Counts]] = defaultdict(list)
    for (language, _), found in sorted(groups.items()):
        shares[language].append(piece_shares(tokenizer, ((text, 1.0) for text in found)))
    return {language: np.mean(found, axis=0) for language, found in shares.items()}


def cut_vocabulary(source: Path, words: Path, messages: Path, examples: Path, folder: Path, size: int = SIZE) -> None:
    """Write the cut ``tokenizer.json``, ``keep.npy`` (the old id of each new one) and ``coverage.json`` to ``folder``.

    Coverage is, per language, the share of the original's tokens of the training documents that are kept whole.
    """
    original = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    pieces = [piece for piece, _ in original["model"]["vocab"]]
    special = [token["content"] for token in original["added_tokens"]]
    by_language = use_in_examples(tokenizer, examples)
    use = use_in_seven_languages(tokenizer, words, messages)
    use += EXAMPLES_WEIGHT * np.sum(list(by_language.values()), axis=0)
    keep = choose(pieces, special, use, size)
    text = json.dumps(cut_tokenizer(original, keep), ensure_ascii=False, indent=1)
    (folder / "tokenizer.json").write_text(text + "\n", encoding="utf-8")
    np.save(folder / "keep.npy", keep)
    coverage = {language: round(float(shares[keep].sum()), 4) for language, shares in sorted(by_language.items())}
    (folder / "coverage.json").write_text(json.dumps(coverage, indent=1) + "\n")
