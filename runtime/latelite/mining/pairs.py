"""Passages -> pairs of a query and the passage that answers it.

Queries are made from parts of documents: headings and titles, links to a passage, definitions ("X is a ..."),
sentences, spans and keywords. If the query is a part of the text that would be found by its words alone (a heading, a
sentence), that part is removed from the passage, so that the model learns from the rest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from latelite.mining import questions
from latelite.mining.definitions import what_is
from latelite.mining.languages import language_of
from latelite.sources.passage import Passage

KINDS = ("title", "heading", "link", "definition", "sentence", "span", "keywords")

_SHORTEST = 60
"""Minimum characters of a passage without its query."""
_SENTENCE_WORDS = (5, 40)
_TITLE = 120
"""Maximum characters of a first line that counts as a title."""
_SENTENCE_END = re.compile(r"(?<=[.!?。！？])\s+")
_MARKUP = re.compile(r"^\s*(?:#+|=+|\*+|\.\.)\s*|[*_`]+")
_INNER = re.compile(r"#{1,6}\s+\S")
"""A Markdown heading."""
_LINK = re.compile(r"(?<!!)\[([^\]\n]{4,100})\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Pair:
    """A query and the passage that answers it."""

    query: str
    positive: str
    negatives: tuple[str, ...] = ()
    """Passages that search finds for the query and that do not answer it."""
    scores: tuple[float, ...] = ()
    """Teacher's scores of the positive, then of each negative; empty without a teacher."""
    kind: str = ""
    """One of `KINDS`, or the user's own."""
    document: str = ""
    """Document of the passage; all pairs of a document are in the same split."""
    language: str = ""

    def as_json(self) -> dict[str, Any]:
        """The non-empty fields, for a line of a file."""
        fields = {
            "query": self.query,
            "positive": self.positive,
            "negatives": list(self.negatives),
            "scores": list(self.scores),
            "kind": self.kind,
            "document": self.document,
            "language": self.language,
        }
        return {name: value for name, value in fields.items() if value}


def mine(passages: Iterable[Passage], *, per_passage: int = 2, seed: int = 0) -> Iterator[Pair]:
    """Make pairs without negatives, at most ``per_passage`` per passage, of different kinds if possible.

    Args:
        passages: passages of documents, from `latelite.sources.passages`.
        per_passage: maximum pairs of a passage; headings, links and definitions come first, then parts of the text.
        seed: of the choice of sentences, spans and keywords; the same passages and seed give the same pairs.

    Raises:
        ValueError: ``per_passage`` is below 1.
    """
    if per_passage < 1:
        raise ValueError(f"per_passage must be at least 1, not {per_passage}.")
    known = list(passages)
    linked = _link_texts(known)
    seen: set[tuple[str, str]] = set()
    for number, passage in enumerate(known):
        draw = np.random.default_rng((seed, number))
        language = language_of(passage.text) or ""
        found = 0
        for kind, query, text in _of_passage(draw, passage, language, linked.get(passage.id, ())):
            key = query.casefold(), text
            if found == per_passage or key in seen or len(text) < _SHORTEST or not query.strip():
                continue
            seen.add(key)
            found += 1
            yield Pair(query, text, kind=kind, document=document_of(passage), language=language)


def document_of(passage: Passage) -> str:
    """The document of a passage: its file, or the document of a JSON line."""
    for name in ("document", "path"):
        if isinstance(value := passage.metadata.get(name), str):
            return value
    return passage.id


def _of_passage(
    draw: np.random.Generator, passage: Passage, language: str, links: Sequence[str]
) -> Iterator[tuple[str, str, str]]:
    """(kind, query, text) of one passage, best first."""
    headings, body = _headings(passage)
    for kind, heading in headings:
        asked = questions.of_title(draw, language, heading) if language and draw.random() < 0.3 else heading
        yield kind, heading if heading.endswith("?") else asked, body
    for text in links:
        yield "link", text, passage.text
    sentences = [each.strip() for each in _SENTENCE_END.split(body) if each.strip()]
    if language and sentences and (definition := what_is(language, sentences[0])):
        yield "definition", definition, body
    # Spans and keywords come last: matching exact words is what an untrained late-interaction model does already.
    for kind in ("sentence", *(("span", "keywords") if draw.random() < 0.5 else ("keywords", "span"))):
        if (made := _part(draw, kind, language, body, sentences)) is not None:
            yield kind, *made


def _part(
    draw: np.random.Generator, kind: str, language: str, body: str, sentences: Sequence[str]
) -> tuple[str, str] | None:
    """A query made from a part of the text, and the passage for it."""
    if kind == "sentence":
        least, most = _SENTENCE_WORDS
        fitting = [at for at, each in enumerate(sentences) if least <= len(each.split()) <= most]
        if len(sentences) < 2 or not fitting:
            return None
        # The first sentence is the one most likely to say what a text is about.
        at = fitting[0] if draw.random() < 0.5 else fitting[int(draw.integers(len(fitting)))]
        return _plain(sentences[at]), " ".join([*sentences[:at], *sentences[at + 1 :]])
    found = questions.of_span(draw, language, body) if kind == "span" else questions.keywords(draw, body)
    return None if found is None else (_plain(found), body)


def _headings(passage: Passage) -> tuple[list[tuple[str, str]], str]:
    """Titles and headings of a passage, as (kind, text), and its text without these lines."""
    path = [each for each in str(passage.metadata.get("heading") or "").split(" > ") if each]
    title = str(passage.metadata.get("title") or "")
    lines = passage.text.split("\n")
    if not path and not title and len(lines) > 1 and _is_title(lines[0], "\n".join(lines[1:])):
        return [("title", _plain(lines[0]))], "\n".join(lines[1:]).strip()
    inner = [_plain(line) for line in lines if _INNER.match(line)]
    named = {_plain(each) for each in (*path, title)} | set(inner)
    body = "\n".join(line for line in lines if _plain(line) not in named and not _is_rule(line)).strip()
    found = []
    if path and _plain(path[-1]) != _plain(title):
        last = _plain(path[-1])
        found.append(("heading", f"{_plain(title)}: {last}" if title else last))
    elif title or path:
        found.append(("title", _plain(title or path[-1])))
    known = {_plain(each) for each in (*path[-1:], title)}
    found += [("heading", f"{_plain(title)}: {each}" if title else each) for each in inner if each not in known]
    return found, body or passage.text


def _is_title(line: str, rest: str) -> bool:
    text = line.strip()
    return 3 <= len(text) <= _TITLE and not text.endswith((".", ",", ";", ":")) and len(rest.strip()) >= 2 * len(text)


def _is_rule(line: str) -> bool:
    """Whether the line underlines a heading."""
    return len(line) > 2 and not line.strip("=-~^*# ")


def _plain(text: str) -> str:
    return " ".join(_MARKUP.sub("", _LINK.sub(r"\1", text)).split())


def _link_texts(passages: Sequence[Passage]) -> dict[str, list[str]]:
    """Passage id -> texts of the links to its file or its heading."""
    first: dict[str, str] = {}
    by_heading: dict[tuple[str, str], str] = {}
    for passage in passages:
        if isinstance(path := passage.metadata.get("path"), str):
            first.setdefault(path, passage.id)
            last = str(passage.metadata.get("heading") or "").rpartition(" > ")[2]
            inner = [_plain(line) for line in passage.text.split("\n") if _INNER.match(line)]
            for heading in (last, *inner):
                by_heading.setdefault((path, _slug(heading)), passage.id)
    found: dict[str, list[str]] = {}
    for passage in passages:
        path = passage.metadata.get("path")
        if not isinstance(path, str):
            continue
        for text, target in _LINK.findall(passage.text):
            name, _, fragment = target.partition("#")
            if "://" in target or target.startswith("mailto:"):
                continue
            place = _resolve(path, name) if name else path
            to = by_heading.get((place, _slug(fragment))) if fragment else first.get(place)
            if to is not None and to != passage.id:
                found.setdefault(to, []).append(_plain(text))
    return {id_: list(dict.fromkeys(texts)) for id_, texts in found.items()}


def _resolve(path: str, target: str) -> str:
    parts = path.split("/")[:-1]
    for part in target.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def _slug(heading: str) -> str:
    """A heading as written in Markdown links."""
    return re.sub(r"[^\w-]", "", heading.strip().lower().replace(" ", "-"))


def write_pairs(pairs: Iterable[Pair], file: IO[str]) -> dict[str, int]:
    """Write a line for each pair; returns the number of pairs of each kind."""
    counts: dict[str, int] = {}
    for pair in pairs:
        file.write(json.dumps(pair.as_json(), ensure_ascii=False) + "\n")
        counts[pair.kind] = counts.get(pair.kind, 0) + 1
    return counts


def read_pairs(path: Path) -> list[Pair]:
    """Read pairs from JSON lines with ``query`` and ``positive`` (or ``question`` and ``passage``) and optional fields.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a line is not a pair, or there are none; names file and line.
    """
    found = []
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    found.append(_pair(json.loads(line)))
                except (ValueError, TypeError, RecursionError) as error:
                    raise ValueError(f"{path}, line {number}: {error}") from error
    if not found:
        raise ValueError(f"{path} has no pairs.")
    return found


def _pair(fields: Any) -> Pair:
    if not isinstance(fields, Mapping):
        raise ValueError("it is not a JSON object")
    query = fields.get("query", fields.get("question", fields.get("anchor")))
    positive = fields.get("positive", fields.get("passage"))
    for name, value in (("query", query), ("positive", positive)):
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f"{name} must be a text")
    negatives, scores = fields.get("negatives") or [], fields.get("scores") or []
    if not isinstance(negatives, list) or not all(isinstance(each, str) and each.strip() for each in negatives):
        raise ValueError("negatives must be a list of texts")
    if not isinstance(scores, list) or not all(
        isinstance(each, int | float) and not isinstance(each, bool) for each in scores
    ):
        raise ValueError("scores must be a list of numbers")
    if scores and len(scores) != len(negatives) + 1:
        raise ValueError(f"there must be {len(negatives) + 1} scores, of the positive and of each negative")
    others = {name: str(fields.get(name) or "") for name in ("kind", "document", "language")}
    return Pair(str(query), str(positive), tuple(negatives), tuple(map(float, scores)), **others)
