"""What a training step sees: documents of one source and language, and for each one query in some language.

In-batch documents are candidates for every query; taking them from one source and language makes them hard to tell
apart. A step's draw depends on the seed and the step's number alone, so a run that was killed goes on as it would have.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from recipe.examples import read_documents, read_texts
from recipe.pins import LANGUAGES
from recipe.switching import Switcher
from recipe.teacher import Ragged

SORTED = 4
"""A batch is one of this many that a draw sorted by length is cut into: a quarter of all tokens was padding before."""


Row = tuple[NDArray[np.int64], NDArray[np.int64]]
Switch = Callable[[int, NDArray[np.int64], NDArray[np.int64]], Row]


@dataclass(frozen=True)
class Document:
    """A text number with the text numbers of its queries, by language."""

    text: int
    own: tuple[int, ...]
    foreign: tuple[tuple[str, int], ...]
    """With the language of each."""


@dataclass(frozen=True)
class Mix:
    """How often each source and each language is drawn; languages that a source lacks are left out."""

    sources: Mapping[str, float]
    languages: Mapping[str, float]
    foreign: float = 0.35
    """Share of queries taken in another language than the document's, where there is one."""
    switched_queries: float = 0.0
    switched_documents: float = 0.0
    """Share of texts with words replaced by translations; see ``switching``."""
    query_words: tuple[float, float] = (0.4, 1.0)
    document_words: tuple[float, float] = (0.2, 0.7)
    """Least and greatest share of words that such a text may lose."""
    aligned: bool = False
    """Whether translations come from parallel text, too."""
    inflected: bool = False
    """Whether translations come in rare forms of their words, too."""
    anchored: bool = False
    """Whether the teacher's vectors of English texts alone are targets, with words replaced or not.

    Those of a rare word's pieces are far from those of the English word: "Verzeichnis" has cosines of .34 to .47 to
    "directory", so they would pull a word away from its translation.
    """
    siblings: int = 1
    """Documents drawn together that stand side by side: pages of one book, methods of one class, alike and so hard."""

    @property
    def switches(self) -> bool:
        """Whether any words are replaced."""
        return self.switched_queries > 0 or self.switched_documents > 0


@dataclass
class Side:
    """Texts of one role, padded: student ids and mask ``(texts, tokens)``, teacher vectors ``(texts, others, DIM)``."""

    ids: torch.Tensor
    mask: torch.Tensor
    match: torch.Tensor
    """Teacher token of each student token."""
    teacher: torch.Tensor
    teacher_mask: torch.Tensor
    anchored: torch.Tensor
    """Texts whose teacher vectors are targets ``(texts,)``."""


@dataclass
class Batch:
    """One step. Query ``i`` belongs to document ``i``; without queries only tokens are aligned."""

    source: str
    language: str
    documents: Side
    queries: Side | None


class Cache:
    """The teacher stage's output."""

    def __init__(self, folder: Path, spelled: Path | None = None) -> None:
        """``spelled`` is a folder with the texts in other pieces than the teacher stage's."""
        self.student, self.match, self.teacher = (
            Ragged.load(place, name)
            for name, place in (("student", spelled or folder), ("match", spelled or folder), ("teacher", folder))
        )
        self.vectors = np.load(folder / "vectors.npy", mmap_mode="r")
        axes = load_file(folder / "axes.safetensors")
        self.weight, self.bias = axes["weight"], axes["bias"]

    def row(self, text: int) -> Row:
        """Student ids of a text, and the teacher's token of each."""
        return self.student.row(text).astype(np.int64), self.match.row(text).astype(np.int64)

    def side(self, texts: Sequence[int], longest: int, switch: Switch | None = None) -> Side:
        """The texts, cut at ``longest`` student tokens; the last token of a cut text stays its end mark.

        ``switch`` may put another version in the place of a text, by its place in ``texts``.
        """
        rows, matches, vectors = [], [], []
        for place, text in enumerate(texts):
            ids, match = switch(place, *self.row(text)) if switch else self.row(text)
            first, last = self.teacher.starts[text], self.teacher.starts[text + 1]
            known = self.vectors[first:last]
            if len(ids) > longest:
                keep = np.r_[0 : longest - 1, len(ids) - 1]
                ids, match = ids[keep], match[keep]
                inside = int(match[:-1].max()) + 1
                known = np.concatenate([known[:inside], known[-1:]])
                match[-1] = inside
            rows.append(torch.from_numpy(ids))
            matches.append(torch.from_numpy(match))
            vectors.append(torch.from_numpy(np.array(known, dtype=np.float32)))
        pad = torch.nn.utils.rnn.pad_sequence
        ids = pad(rows, batch_first=True)
        lengths = torch.tensor([len(row) for row in rows])
        known_lengths = torch.tensor([len(row) for row in vectors])
        known = pad(vectors, batch_first=True)
        return Side(
            ids,
            torch.arange(ids.shape[1]) < lengths[:, None],
            pad(matches, batch_first=True),
            known,
            torch.arange(known.shape[1]) < known_lengths[:, None],
            torch.ones(len(rows), dtype=torch.bool),
        )


INTO_ENGLISH = 0.7
"""How often a text in another language is mixed with English rather than with a third language."""


class Sampler:
    """Draws batches."""

    def __init__(
        self, cache: Cache, examples: Path, mix: Mix, size: int, longest: int, seed: int, switcher: Switcher | None
    ) -> None:
        """``switcher`` may be ``None`` for a mix that replaces no words."""
        self.cache, self.size, self.longest, self.seed = cache, size, longest, seed
        if mix.switches and switcher is None:
            raise ValueError("a mix that replaces words needs a switcher")
        self.switcher = switcher
        self.texts = read_texts(examples)[0] if switcher else []
        self.lengths = cache.student.lengths
        self.pools: dict[tuple[str, str], list[Document]] = defaultdict(list)
        for row in read_documents(examples):
            if not row["held_out"]:
                own = tuple(text for language, text in row["queries"] if language == row["language"])
                foreign = tuple((language, text) for language, text in row["queries"] if language != row["language"])
                self.pools[row["source"], row["language"]].append(Document(row["text"], own, foreign))
        known = {source for source, _ in self.pools}
        self.sources = {source: share for source, share in mix.sources.items() if source in known}
        self.mix = mix

    def batch(self, step: int) -> Batch:
        """The batch of one step."""
        draw = np.random.default_rng((self.seed, step))
        source = _choose(draw, self.sources)
        present = {language: self.mix.languages[language] for name, language in self.pools if name == source}
        language = _choose(draw, present)
        pool = self.pools[source, language]
        longest = int(draw.integers(self.longest // 2, self.longest + 1))
        siblings = self.mix.siblings
        runs = -(-len(pool) // siblings)
        drawn = draw.choice(runs, min(SORTED * self.size // siblings, runs), replace=False)
        families = [pool[run * siblings : (run + 1) * siblings] for run in drawn]
        lengths = [sum(self.lengths[document.text] for document in family) / len(family) for family in families]
        parts = np.array_split(np.argsort(lengths, kind="stable"), -(-len(drawn) * siblings // self.size))
        chosen = [document for at in parts[int(draw.integers(len(parts)))] for document in families[at]]
        asked = [document for document in chosen if document.own or document.foreign]
        if len(asked) < len(chosen) // 2:
            texts = [(language, document.text) for document in chosen]
            return Batch(source, language, self.side(draw, "document", texts, longest), None)
        queries = [_query(draw, language, document, self.mix.foreign) for document in asked]
        documents = self.side(draw, "document", [(language, document.text) for document in asked], longest)
        return Batch(source, language, documents, self.side(draw, "query", queries, self.longest))

    def side(self, draw: np.random.Generator, role: str, texts: Sequence[tuple[str, int]], longest: int) -> Side:
        """Texts with their languages as one side of a batch, some of them in a mixed version."""
        mix = self.mix
        share, words = {
            "query": (mix.switched_queries, mix.query_words),
            "document": (mix.switched_documents, mix.document_words),
        }[role]

        def switch(place: int, *row: NDArray[np.int64]) -> Row:
            language, text = texts[place]
            if draw.random() >= share:
                return row  # type: ignore[return-value]
            into = "en"
            if language == "en" or draw.random() >= INTO_ENGLISH:
                into = str(draw.choice([other for other in LANGUAGES if other not in (language, "en")]))
            return self.switcher.row(draw, self.texts[text], *row, language, into, draw.uniform(*words))  # type: ignore[call-arg]

        side = self.cache.side([text for _, text in texts], longest, switch if share else None)
        if mix.anchored:
            side.anchored = torch.tensor([language == "en" for language, _ in texts])
        return side


def _choose(draw: np.random.Generator, shares: Mapping[str, float]) -> str:
    names = sorted(shares)
    weights: NDArray[np.float64] = np.array([shares[name] for name in names], dtype=np.float64)
    return str(names[int(draw.choice(len(names), p=weights / weights.sum()))])


def _query(draw: np.random.Generator, language: str, document: Document, foreign: float) -> tuple[str, int]:
    """A query of a document, with its language."""
    abroad = document.foreign and (not document.own or draw.random() < foreign)
    texts = document.foreign if abroad else tuple((language, text) for text in document.own)
    return texts[int(draw.integers(len(texts)))]
