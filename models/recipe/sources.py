"""Multilingual text for distillation: every source becomes pages, each with the queries that it answers.

A page is identified by its source and key. Translations of a page share both, which gives cross-lingual pairs. Text is
read from two folders and is not part of the repository:

- texts: ``general/*.jsonl.gz`` (see ``general``), ``libreoffice-help/parallel.jsonl.gz``,
  ``debian-descriptions/LANGUAGE.jsonl.gz``;
- packages: Debian packages as downloaded by ``apt-get download`` (``PACKAGES``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from recipe import debian, docstrings, general
from recipe.errors import FormatError
from recipe.general import SHORTEST_SENTENCE, rows
from recipe.pages import SHORTEST, Page, fold
from recipe.pins import LANGUAGES

PACKAGES = (*debian.PACKAGES, *docstrings.PACKAGES)
"""Names of all Debian 12 packages used by the recipe."""
PASSAGE = 120
"""A passage of a help page ends after this many words."""


def office(texts: Path) -> Iterator[Page]:
    """LibreOffice's help: passages, with their page's headings as queries, and single segments (MPL-2.0)."""
    pages: dict[str, list[tuple[str, dict[str, str]]]] = {}
    for row in rows(texts / "libreoffice-help" / "parallel.jsonl.gz"):
        path, _, name = row["key"].partition("#")
        pages.setdefault(path, []).append((name, row))
    for path, segments in pages.items():
        for language in LANGUAGES:
            yield from _help_page(
                path, language, [(name, row[language]) for name, row in segments if row.get(language)]
            )


def _help_page(path: str, language: str, segments: list[tuple[str, str]]) -> Iterator[Page]:
    headings = tuple(text for name, text in segments if name.startswith("hd_"))
    passage: list[str] = []
    count = 0
    for name, text in segments:
        if name.startswith("hd_"):
            continue
        if len(text) >= SHORTEST:
            yield Page("office.parallel", f"{path}#{name}", language, text)
        passage.append(text)
        if sum(len(part.split()) for part in passage) >= PASSAGE:
            yield Page("office", f"{path}#{count}", language, " ".join(passage), headings)
            passage, count = [], count + 1
    if len(" ".join(passage)) >= SHORTEST:
        yield Page("office", f"{path}#{count}", language, " ".join(passage), headings)


def package_descriptions(texts: Path) -> Iterator[Page]:
    """Debian's package descriptions and their translations (licence of each package; translations by the DDTP)."""
    for name, language in {**debian.LOCALES, "en": "en"}.items():
        for line in rows(texts / "debian-descriptions" / f"{name}.jsonl.gz"):
            if len(line["long"]) >= SHORTEST:
                yield Page("packages", f"{line['package']}:{line['md5']}", language, line["long"], (line["short"],))


def messages(packages: Path) -> Iterator[Page]:
    """Messages of programs with their translations."""
    for page in debian.messages(packages):
        if len(page.text) >= SHORTEST_SENTENCE:
            yield replace(page, source="messages.parallel")


def all_pages(texts: Path, packages: Path) -> Iterator[Page]:
    """Pages of all sources, with white space folded."""
    sources = (
        general.articles(texts),
        general.sentences(texts),
        office(texts),
        package_descriptions(texts),
        debian.desktop_help(packages),
        debian.manual_pages(packages),
        debian.handbooks(packages),
        debian.applications(packages),
        debian.reference(packages),
        docstrings.docstrings(packages),
        messages(packages),
    )
    for source in sources:
        count = 0
        for page in source:
            count += 1
            yield replace(page, text=fold(page.text), queries=tuple(map(fold, page.queries)))
        if not count:
            raise FormatError("a source of text has no pages: has its layout changed?")


def fingerprint(texts: Path, packages: Path) -> dict[str, int]:
    """Size in bytes of every input file, by name: enough to notice another version of a source."""
    used = [*texts.glob("*/*.jsonl.gz"), *(path for name in PACKAGES for path in packages.glob(f"{name}_*.deb"))]
    return {f"{path.parent.name}/{path.name}": path.stat().st_size for path in sorted(used)}
