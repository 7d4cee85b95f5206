"""Stage *widened*: words that the vocabulary takes apart get a piece of their own, in the place of rare pieces.

The teacher's pieces were chosen on a hundred languages: "Verzeichnis" is four of them, and what they mean together is
for the layers to find out. A word that has a translation gets a row of the embeddings: that of its translation into
English, which the model knows best. So it stands where it belongs before any training. From here on, texts go without
question marks.
"""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from math import log
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer

from recipe import corpus
from recipe.encoder import EMBEDDINGS, PREFIXES, add_tokens
from recipe.examples import MIXTURES, read_documents, read_texts
from recipe.instructions import instruction_words
from recipe.marks import drop_marks
from recipe.pieces import WORD_START, WORDS_PER_LANGUAGE, choose, cut_tokenizer, use_in_seven_languages, word_forms
from recipe.pins import LANGUAGES
from recipe.switching import Lexicon
from recipe.teacher import LONGEST_DOCUMENT, LONGEST_QUERY, PROMPTS, Ragged, covering, inner
from recipe.vocabulary import EXAMPLES_WEIGHT, LONGEST, use_in_examples

SIZE = 22_500
"""Pieces and words kept: 15.99 M parameters."""
FREQUENT = 500
"""Words among them that are there for their use. 1,500 and 3,000 cost Spanish questions about English one to two points
before any training."""
LEAST = 2e-7
"""Share of all words that these have at least."""
RARE = 1e-5
"""Share of all words that one of an instruction is taken to have at least: its score in the vocabulary."""
PIECES = 3
"""A word of fewer pieces, the mark of its beginning among them, stays as it is."""
WORD = re.compile(r"[^\W\d_]{3,}")


def shares(counts: Mapping[str, float]) -> dict[str, float]:
    total = sum(counts.values())
    return {word: count / total for word, count in counts.items()}


def words_in_use(words: Path, examples: Path) -> dict[str, float]:
    """How much each word is used: its share of each language's word list and of its training documents, added up.

    The sources of a language count alike.
    """
    texts, _ = read_texts(examples)
    groups: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for document in read_documents(examples):
        if not document["held_out"] and document["source"] not in MIXTURES:
            found = WORD.findall(texts[document["text"]][:LONGEST])
            groups[document["language"], document["source"]].update(found)
    use: dict[str, float] = defaultdict(float)
    for language in LANGUAGES:
        frequent = islice(corpus.word_frequencies(words, language), WORDS_PER_LANGUAGE)
        listed: dict[str, float] = defaultdict(float)
        for word, weight in word_forms(frequent, language):
            if WORD.fullmatch(word):
                listed[word] += weight
        sources = [counts for (spoken, _), counts in groups.items() if spoken == language]
        for counts, part in [(listed, 1.0), *((counts, 1 / len(sources)) for counts in sources)]:
            for word, share in shares(counts).items():
                use[word] += part * share
    return use


def translations(lexicon: Lexicon, word: str) -> list[str]:
    """What the word means in English: the first translation of each language that has it; nothing if English has it."""
    if word.lower() in lexicon.tables["en-de"]:
        return []
    tables = [lexicon.tables[f"{language}-en"] for language in LANGUAGES if language != "en"]
    return [table[word.lower()][0] for table in tables if word.lower() in table]


def length(tokenizer: Tokenizer, word: str) -> int:
    return len(tokenizer.encode(word, add_special_tokens=False).ids)


def candidates(tokenizer: Tokenizer, use: Mapping[str, float], count: int = FREQUENT) -> list[str]:
    """The words that would save the most pieces, the best first."""
    lengths = {word: length(tokenizer, word) for word in use}
    saved = {word: use[word] * (pieces - 1) for word, pieces in lengths.items() if pieces >= PIECES}
    return sorted(saved, key=lambda name: (-saved[name], name))[:count]


def widen(tokenizer: str, found: Sequence[str], use: Mapping[str, float]) -> str:
    """``tokenizer.json`` of a Unigram model with words of their own; a score is the log of a word's share."""
    made = json.loads(tokenizer)
    total = sum(use.values())
    made["model"]["vocab"] += [[WORD_START + word, log(use[word] / total)] for word in found]
    return json.dumps(made, ensure_ascii=False, indent=1) + "\n"


def rows(
    tokenizer: Tokenizer, pieces: Iterable[str], meanings: Mapping[str, Sequence[str]], embeddings: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Embedding of each piece: the one it had, for a word with ``meanings`` the mean of those of their pieces."""

    def row(text: str) -> NDArray[np.float32]:
        mean: NDArray[np.float32] = embeddings[tokenizer.encode(text, add_special_tokens=False).ids].mean(axis=0)
        return mean

    found = []
    for piece in pieces:
        meant = meanings.get(piece.removeprefix(WORD_START), ())
        known = tokenizer.token_to_id(piece)
        found.append(embeddings[known] if known is not None else np.mean([row(text) for text in meant], axis=0))
    return np.stack(found)


def match(
    student: Tokenizer, teacher: Tokenizer, texts: Sequence[str], queries: NDArray[np.bool_], cached: Ragged
) -> dict[str, Ragged]:
    """Student ids and the teacher's token of each, for texts whose teacher tokens are ``cached``."""
    prompts = {
        role: len(teacher.encode(prompt.strip(), add_special_tokens=False).ids) for role, prompt in PROMPTS.items()
    }
    prefixes = dict(zip(("query", "document"), map(student.token_to_id, PREFIXES), strict=True))
    first, last = student.encode("").ids
    student_rows, matched = [], []
    for start in range(0, len(texts), 10_000):
        part = list(texts[start : start + 10_000])
        pairs = zip(student.encode_batch(part), teacher.encode_batch(part), strict=True)
        for number, (small, large) in enumerate(pairs, start):
            role, room = ("query", LONGEST_QUERY) if queries[number] else ("document", LONGEST_DOCUMENT)
            length, before = int(cached.lengths[number]), 1 + prompts[role]
            (ids, places), (_, ranges) = inner(small), inner(large)
            ranges = ranges[: length - before - 1]
            end = ranges[-1][1] if ranges else 0
            places = [place for place in places[: room - 3] if place[0] < end]
            student_rows.append([first, prefixes[role], *ids[: len(places)], last])
            matched.append([0, 1, *(before + at for at in covering(places, ranges)), length - 1])
    return {"student": Ragged.of(student_rows, np.int32), "match": Ragged.of(matched, np.int16)}


def whole_words(
    tokenizer: Tokenizer, lexicon: Lexicon, use: Mapping[str, float], instructed: Mapping[str, str]
) -> dict[str, list[str]]:
    """Words to have a piece of their own, with what each means in English.

    These are the ``FREQUENT`` words that would save the most pieces, and those of ``instructed``, word -> verb.
    """
    meanings = {word: translations(lexicon, word) for word, share in use.items() if share > LEAST}
    frequent = candidates(tokenizer, {word: use[word] for word, meant in meanings.items() if meant})
    found = {word: meanings[word] for word in frequent}
    offered = [word for word in instructed if WORD.fullmatch(word) and word not in lexicon.tables["en-de"]]
    found.update({word: [instructed[word]] for word in offered if length(tokenizer, word) >= PIECES})
    return found


def build_widened(
    source: Path, cut: Path, trained: Path, teacher: Path, tables: Mapping[str, Path], words: Path, messages: Path,
    examples: Path, folder: Path,
) -> None:  # fmt: skip
    """Write the student with its new tokenizer, ``words.json``, and the texts in its pieces to ``folder``.

    ``cut`` holds the tokenizer without prefix tokens, ``trained`` the student, ``teacher`` the cached vectors;
    ``tables`` are the stages *lexicon*, *alignment* and *inflections*.
    """
    narrow = (cut / "tokenizer.json").read_text(encoding="utf-8")
    instructed = instruction_words(examples, tables["alignment"], tables["inflections"])
    use = words_in_use(words, examples)
    meanings = whole_words(Tokenizer.from_str(narrow), Lexicon(tables["lexicon"], tables["alignment"]), use, instructed)
    for word in instructed:
        use[word] = max(use.get(word, 0.0), RARE)
    wide = widen(narrow, list(meanings), use)
    made = json.loads(wide)
    pieces = [piece for piece, _ in made["model"]["vocab"]]
    tokenizer = Tokenizer.from_str(wide)
    used = use_in_seven_languages(tokenizer, words, messages)
    used += EXAMPLES_WEIGHT * np.sum(list(use_in_examples(tokenizer, examples).values()), axis=0)
    used[-len(meanings) :] = np.inf
    keep = choose(pieces, [token["content"] for token in made["added_tokens"]], used, SIZE)
    final = cut_tokenizer(made, keep)
    add_tokens(final, list(PREFIXES))
    student = Tokenizer.from_str(json.dumps(final))
    drop_marks(student)
    student.save(str(folder / "tokenizer.json"))
    (folder / "words.json").write_text(json.dumps(meanings, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

    weights = load_file(trained / "model.safetensors")
    table = weights[EMBEDDINGS]
    known = rows(Tokenizer.from_str(narrow), [pieces[at] for at in keep], meanings, table)
    weights[EMBEDDINGS] = np.concatenate([known, table[-len(PREFIXES) :]])
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((trained / "config.json").read_text()) | {"vocab_size": len(weights[EMBEDDINGS])}
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    shutil.copyfile(trained / "dense.safetensors", folder / "dense.safetensors")

    texts, queries = read_texts(examples)
    original = Tokenizer.from_file(str(source / "tokenizer.json"))
    original.no_truncation()
    original.no_padding()
    for name, ragged in match(student, original, texts, queries, Ragged.load(teacher, "teacher")).items():
        ragged.save(folder, name)
