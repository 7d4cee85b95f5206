"""Training pairs and evaluation questions from the user's data.

The data is a folder in BEIR layout, a file of pairs, or documents without questions. A tenth of the documents is held
out: no pair about a held-out document is trained on.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import beir

from latelite import sources
from latelite.mining import Pair, mine, read_pairs
from latelite.mining.languages import language_of
from latelite.mining.negatives import add_negatives
from latelite.models import ColBERT
from latelite.sources import Passage

HELD_OUT = 10
"""One document in this many is held out."""
MAX_QUESTIONS = 300
"""Maximum number of questions of a set that quality is measured on."""
_SPLITS = (("qrels/train.tsv", "queries.jsonl"), ("extra_qrels.tsv", "extra_queries.jsonl"))
_TESTS = ("qrels.tsv", "qrels/test.tsv")


@dataclass(frozen=True)
class Questions:
    """Questions over a corpus, with relevance judgements."""

    name: str
    corpus: dict[str, str]
    queries: dict[str, str]
    qrels: dict[str, dict[str, int]]

    def languages(self) -> dict[str, list[str]]:
        """Question ids by the language of the relevant documents; "" if that is not one of the seven."""
        found: dict[str, list[str]] = {}
        for id_ in self.queries:
            text = " ".join(self.corpus[document] for document in self.qrels[id_])
            found.setdefault(language_of(text) or "", []).append(id_)
        return found


@dataclass
class Data:
    """The content of DATA."""

    kind: str
    train: list[Pair]
    held_out: list[Pair]
    questions: list[Questions] = field(default_factory=list)
    """Sets that are not trained on: the held-out pairs, and the test split of a BEIR folder. The first one decides."""


class DataError(ValueError):
    """DATA cannot be used for training; the message says why."""


def is_held_out(document: str) -> bool:
    """Whether a document is held out; the same in every run."""
    return hashlib.blake2b(document.encode("utf-8", "surrogatepass"), digest_size=4).digest()[0] % HELD_OUT == 0


def read(path: Path, model: ColBERT, *, negatives: int, seed: int, say: Callable[[str], object]) -> Data:
    """Read DATA in any of its forms.

    Args:
        path: folder or file.
        model: the base model, which cuts documents into passages and finds hard negatives.
        negatives: hard negatives to mine for each pair without any.
        seed: of the random choices.
        say: progress callback.

    Raises:
        DataError: there is nothing to train on.
    """
    if path.is_file():
        return _pairs(path, model, negatives=negatives, seed=seed, say=say)
    if not path.is_dir():
        raise DataError(
            f"{path} does not exist: name a folder of documents, a file of pairs, or a folder in BEIR layout."
        )
    if (path / "corpus.jsonl").exists():
        return _beir(path, model, negatives=negatives, seed=seed, say=say)
    say("reading documents")
    return _documents("documents", list(sources.passages(path, model)), model, negatives=negatives, seed=seed, say=say)


def _pairs(path: Path, model: ColBERT, *, negatives: int, seed: int, say: Callable[[str], object]) -> Data:
    try:
        pairs = read_pairs(path)
    except ValueError as error:
        raise DataError(str(error)) from error
    pairs = [pair if pair.document else _with_document(pair, pair.positive) for pair in pairs]
    texts = list(dict.fromkeys([text for pair in pairs for text in (pair.positive, *pair.negatives)]))
    owners = {pair.positive: pair.document for pair in pairs}
    passages = [Passage(str(n), text, {"document": owners.get(text, f"negative {n}")}) for n, text in enumerate(texts)]
    return _split("pairs", pairs, passages, model, negatives=negatives, seed=seed, say=say)


def _documents(
    kind: str, passages: Sequence[Passage], model: ColBERT, *, negatives: int, seed: int, say: Callable[[str], object]
) -> Data:
    if not passages:
        raise DataError("DATA has no text to train on: no document could be read, or all are empty.")
    return _split(kind, list(mine(passages, seed=seed)), passages, model, negatives=negatives, seed=seed, say=say)


def _beir(path: Path, model: ColBERT, *, negatives: int, seed: int, say: Callable[[str], object]) -> Data:
    corpus = beir.load_corpus(path / "corpus.jsonl")
    passages = [Passage(id_, text, {"document": id_}) for id_, text in corpus.items()]
    split = next(((a, b) for a, b in _SPLITS if (path / a).exists()), None)
    if split is None:
        data = _documents("passages", passages, model, negatives=negatives, seed=seed, say=say)
    else:
        queries, qrels = _read_qrels(path / split[1], path / split[0], corpus)
        pairs = [
            _with_document(Pair(queries[id_], corpus[document], kind="question"), document)
            for id_, found in qrels.items()
            for document in found
        ]
        data = _split("questions", pairs, passages, model, negatives=negatives, seed=seed, say=say)
    test = next((path / each for each in _TESTS if (path / each).exists()), None)
    if test is not None:
        queries, qrels = _read_qrels(path / "queries.jsonl", test, corpus)
        data.questions.insert(0, _sample(Questions(f"{path.name} (test)", corpus, queries, qrels), seed))
    return data


def _read_qrels(queries: Path, qrels: Path, corpus: dict[str, str]) -> tuple[dict[str, str], dict[str, dict[str, int]]]:
    found: dict[str, dict[str, int]] = {}
    for row in qrels.read_text(encoding="utf-8").splitlines()[1:]:
        query, document, relevance = row.split("\t")
        if int(relevance) > 0 and document in corpus:
            found.setdefault(query, {})[document] = int(relevance)
    texts = {}
    with queries.open(encoding="utf-8") as lines:
        for line in lines:
            fields = json.loads(line)
            if fields["_id"] in found:
                texts[fields["_id"]] = fields["text"]
    return texts, {id_: found[id_] for id_ in texts}


def _split(
    kind: str,
    pairs: Iterable[Pair],
    passages: Sequence[Passage],
    model: ColBERT,
    *,
    negatives: int,
    seed: int,
    say: Callable[[str], object],
) -> Data:
    pairs = list(pairs)
    train = [pair for pair in pairs if not is_held_out(pair.document)]
    held_out = [pair for pair in pairs if is_held_out(pair.document)]
    random.Random(seed).shuffle(held_out)
    held_out = held_out[:MAX_QUESTIONS]
    if not train or not held_out:
        raise DataError(
            f"There are {len(train)} pairs for training and {len(held_out)} for evaluation (one document in "
            f"{HELD_OUT} is held out); both are needed: add documents."
        )
    bare = sum(not pair.negatives for pair in train)
    if negatives and bare:
        say(f"mining negatives of {bare:,} pairs among {len(passages):,} passages")
        random.Random(seed).shuffle(train)
        given = [pair for pair in train if pair.negatives]
        missing = [pair for pair in [*train, *held_out] if not pair.negatives]
        found = list(add_negatives(missing, passages, model, count=negatives, seed=seed))
        held = {(pair.query, pair.positive) for pair in held_out}
        train = given + [pair for pair in found if (pair.query, pair.positive) not in held]
        held_out = [pair for pair in found if (pair.query, pair.positive) in held]
    corpus = {passage.id: passage.text for passage in passages}
    return Data(kind, train, held_out, [_questions(held_out, corpus, passages)])


def _questions(pairs: Sequence[Pair], corpus: dict[str, str], passages: Sequence[Passage]) -> Questions:
    """Held-out pairs as questions; the relevant document is the passage that a pair was made from."""
    by_text = {text: id_ for id_, text in corpus.items()}
    by_document: dict[str, list[str]] = {}
    for passage in passages:
        by_document.setdefault(str(passage.metadata.get("document") or passage.metadata.get("path")), []).append(
            passage.id
        )
    queries, qrels = {}, {}
    for number, pair in enumerate(pairs):
        exact = by_text.get(pair.positive)
        answers = [exact] if exact else _nearest(pair, by_document.get(pair.document, ()), corpus)
        if answers:
            queries[f"held-out {number}"] = pair.query
            qrels[f"held-out {number}"] = dict.fromkeys(answers, 1)
    return Questions("held out", corpus, queries, qrels)


def _nearest(pair: Pair, ids: Sequence[str], corpus: dict[str, str]) -> list[str]:
    """The document's passage that shares most words with a positive, which may lack a line of its passage."""
    words = set(pair.positive.split())
    return sorted(ids, key=lambda id_: -len(words & set(corpus[id_].split())))[:1]


def _sample(questions: Questions, seed: int) -> Questions:
    ids = sorted(questions.queries)
    random.Random(seed).shuffle(ids)
    kept = ids[:MAX_QUESTIONS]
    return Questions(
        questions.name,
        questions.corpus,
        {id_: questions.queries[id_] for id_ in kept},
        {id_: questions.qrels[id_] for id_ in kept},
    )


def read_set(path: Path, seed: int = 0) -> Questions:
    """Read a set in BEIR layout for evaluation only."""
    found = beir.load(path)
    return _sample(Questions(found.name, found.documents, found.queries, found.qrels), seed)


def _with_document(pair: Pair, document: str) -> Pair:
    return replace(pair, document=document, language=pair.language or language_of(pair.positive) or "")
