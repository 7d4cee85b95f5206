"""Multilingual text for distillation: every source becomes pages, each with the questions that it answers.

A page is known by its source and key; translations of one page share both, which is where cross-lingual pairs come
from. Text is read from three folders that the recipe is given and is never kept in the repository:

- texts: ``libreoffice-help/parallel.jsonl.gz``, ``debian-descriptions/LANGUAGE.jsonl.gz``;
- data: retrieval sets in BEIR layout, of which only training splits are used (``extra_queries.jsonl``);
- packages: Debian packages as ``apt-get download`` leaves them (``PACKAGES``).
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from recipe import debian, dictionaries, docstrings, phrases
from recipe.errors import FetchError, FormatError
from recipe.pages import SHORTEST, Page, fold
from recipe.pins import LANGUAGES

PACKAGES = (*debian.PACKAGES, *docstrings.PACKAGES, *phrases.PACKAGES)
"""Debian 12 packages that are read, by name."""

EVALUATED = "0123"
"""LibreOffice pages whose path's SHA-1 starts so are the evaluation's: neither their text nor their titles are used."""


def read_lines(path: Path) -> Iterator[dict[str, str]]:
    """JSON lines, gzipped or not."""
    if not path.exists():
        raise FetchError(f"{path} is missing: see models/README.md for the folders that the recipe reads")
    raw = path.read_bytes()
    for line in (gzip.decompress(raw) if path.suffix == ".gz" else raw).splitlines():
        yield json.loads(line)


def is_evaluated(path: str) -> bool:
    """Whether a page of LibreOffice's help belongs to the evaluation."""
    return hashlib.sha1(path.encode()).hexdigest()[0] in EVALUATED


def training_queries(folder: Path) -> dict[str, list[str]]:
    """Document id -> training queries, without any text that is an evaluation query as well."""
    forbidden = {line["text"].strip().lower() for line in read_lines(folder / "queries.jsonl")}
    texts = {line["_id"]: line["text"] for line in read_lines(folder / "extra_queries.jsonl")}
    found: dict[str, list[str]] = {}
    for line in (folder / "extra_qrels.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        query, document, grade = line.split("\t")
        if int(grade) > 0 and texts[query].strip().lower() not in forbidden:
            found.setdefault(document, []).append(texts[query])
    return found


def evaluated_documents(folder: Path) -> set[str]:
    """Documents that an evaluation query asks for."""
    return {line.split("\t")[1] for line in (folder / "qrels.tsv").read_text(encoding="utf-8").splitlines()[1:]}


def office_pages(data: Path) -> Iterator[Page]:
    """LibreOffice's help pages with their titles and index terms (MPL-2.0)."""
    for language in LANGUAGES:
        folder = data / f"{language}-lohelp"
        queries = training_queries(folder)
        for line in read_lines(folder / "corpus.jsonl"):
            if not is_evaluated(line["_id"]):
                asked = dict.fromkeys(text.replace(",", ", ") for text in queries.get(line["_id"], []))
                yield Page("office", line["_id"], language, line["text"], tuple(asked))


def office_segments(texts: Path) -> Iterator[Page]:
    """Single sentences of the same help, aligned over the languages (MPL-2.0)."""
    for line in read_lines(texts / "libreoffice-help" / "parallel.jsonl.gz"):
        path, _, name = line["key"].partition("#")
        if is_evaluated(path) or name.startswith("hd_") or len(line["en"]) < SHORTEST:
            continue
        for language in LANGUAGES:
            if line.get(language):
                yield Page("segments", line["key"], language, line[language])


def package_descriptions(texts: Path) -> Iterator[Page]:
    """Debian's package descriptions and their translations (licence of each package; translations by the DDTP)."""
    for name, language in {**debian.LOCALES, "en": "en"}.items():
        for line in read_lines(texts / "debian-descriptions" / f"{name}.jsonl.gz"):
            if len(line["long"]) >= SHORTEST:
                yield Page("packages", f"{line['package']}:{line['md5']}", language, line["long"], (line["short"],))


def spanish_questions(data: Path) -> Iterator[Page]:
    """Wikipedia paragraphs with training questions, machine translated from SQuAD (CC BY 4.0 / CC BY-SA 4.0)."""
    folder = data / "es-squad"
    queries = training_queries(folder)
    for line in read_lines(folder / "corpus.jsonl"):
        if line["_id"] in queries:
            yield Page("squad", line["_id"], "es", line["text"], tuple(dict.fromkeys(queries[line["_id"]])))


def abstracts(data: Path) -> Iterator[Page]:
    """Scientific abstracts with their titles (S2ORC, ODC-By), none that an evaluation query asks for; no claims."""
    folder = data / "en-scifact"
    evaluated = evaluated_documents(folder)
    for line in read_lines(folder / "corpus.jsonl"):
        if line["_id"] not in evaluated and line["title"]:
            yield Page("abstracts", line["_id"], "en", line["text"], (line["title"],))


def all_pages(texts: Path, data: Path, packages: Path) -> Iterator[Page]:
    """Pages of every source, white space folded."""
    sources: Iterable[Iterator[Page]] = (
        office_pages(data),
        office_segments(texts),
        package_descriptions(texts),
        spanish_questions(data),
        abstracts(data),
        debian.desktop_help(packages),
        debian.manual_pages(packages),
        debian.handbooks(packages),
        debian.applications(packages),
        debian.skies(packages),
        debian.stories(packages),
        debian.sayings(packages),
        debian.definitions(packages),
        debian.computing(packages),
        debian.glosses(packages),
        debian.messages(packages),
        debian.reference(packages),
        docstrings.docstrings(packages),
    )
    for source in sources:
        count = 0
        for page in source:
            count += 1
            yield replace(page, text=fold(page.text), queries=tuple(map(fold, page.queries)))
        if not count:
            raise FormatError("a source of text gave no page: has its layout changed?")


def fingerprint(texts: Path, data: Path, packages: Path) -> dict[str, int]:
    """Size in bytes of every file that is read, by name: enough to notice another edition of a source."""
    used = [
        *texts.glob("*/*.jsonl.gz"),
        *(found for name in PACKAGES for found in packages.glob(f"{name}_*.deb")),
    ]
    for folder in (*(data / f"{language}-lohelp" for language in LANGUAGES), data / "es-squad", data / "en-scifact"):
        used += [path for path in folder.iterdir() if path.suffix in (".jsonl", ".tsv")]
    return {f"{path.parent.name}/{path.name}": path.stat().st_size for path in sorted(used)}


def dictionaries_used(packages: Path) -> dict[str, int]:
    """The same of the dictionaries."""
    names = (*dictionaries.PACKAGES.values(), *dictionaries.BACK.values())
    return {path.name: path.stat().st_size for name in names for path in sorted(packages.glob(f"{name}_*.deb"))}
