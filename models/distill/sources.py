"""Multilingual text for distillation: every source becomes pages, each with the questions that it answers.

A page is known by its source and key; translations of one page share both, which is where cross-lingual pairs come
from. Text is read from two folders that the recipe is given and is never kept in the repository:

- texts: ``libreoffice-help/parallel.jsonl.gz``, ``debian-descriptions/LANGUAGE.jsonl.gz``;
- data: retrieval sets in BEIR layout, of which only training splits are used (``extra_queries.jsonl``);
- packages: Debian packages as ``apt-get download`` leaves them (``PACKAGES``).
"""

from __future__ import annotations

import gettext
import gzip
import hashlib
import html
import io
import json
import re
import subprocess
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from recipe.errors import FetchError, FormatError
from recipe.pins import LANGUAGES

PACKAGES = (
    "gnome-user-docs",
    "manpages",
    "manpages-de",
    "manpages-es",
    "manpages-fr",
    "manpages-it",
    "manpages-nl",
    "manpages-pt-br",
    "coreutils",
    "wesnoth-1.16-data",
    "wordnet-base",
)
"""Debian 12 packages that are read, by name."""

LOCALES = {"de": "de", "es": "es", "fr": "fr", "it": "it", "nl": "nl", "pt": "pt", "pt_BR": "pt"}
EVALUATED = "0123"
"""LibreOffice pages whose path's SHA-1 starts so are the evaluation's: neither their text nor their titles are used."""
SHORTEST = 40
"""Characters of the shortest text worth a document."""


@dataclass(frozen=True)
class Page:
    """One text in one language, and queries that it answers in that language."""

    source: str
    key: str
    language: str
    text: str
    queries: tuple[str, ...] = ()


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
    for name, language in {**LOCALES, "en": "en"}.items():
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


def package_files(packages: Path, name: str, pattern: str) -> Iterator[tuple[re.Match[str], bytes]]:
    """Files of a Debian package whose path matches, in the archive's order."""
    found = sorted(packages.glob(f"{name}_*.deb"))
    if len(found) != 1:
        raise FetchError(f"{packages} holds {len(found)} versions of {name}: run `apt-get download {name}` there")
    unpacked = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(found[0])], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(unpacked)) as archive:
        for member in archive:
            match = re.fullmatch(pattern, member.name.removeprefix("."))
            if match and member.isfile():
                opened = archive.extractfile(member)
                assert opened is not None
                yield match, opened.read()


TAG = re.compile(r"<[^>]*>")


def plain(markup: str) -> str:
    """Text of a piece of XML, white space folded."""
    return " ".join(html.unescape(TAG.sub("", markup)).split())


def desktop_help(packages: Path) -> Iterator[Page]:
    """GNOME's user documentation (CC BY-SA 3.0)."""
    languages = "|".join(["C", *LOCALES])
    for match, raw in package_files(packages, "gnome-user-docs", rf"/usr/share/help/({languages})/(.+)\.page"):
        source = raw.decode()
        language = LOCALES.get(match[1], "en")
        titles = [plain(title) for title in re.findall(r"<title>(.*?)</title>", source, re.S)[:1]]
        titles += [plain(text) for text in re.findall(r"<desc>(.*?)</desc>", source, re.S)[:1]]
        body = re.split(r"</info>", source, maxsplit=1)[-1]
        paragraphs = [plain(text) for text in re.findall(r"<p>(.*?)</p>", body, re.S)]
        text = " ".join(paragraphs)
        if len(text) >= SHORTEST and titles:
            yield Page("desktop", match[2], language, text, tuple(filter(None, titles)))


ROFF_ESCAPES = (
    (re.compile(r"\\f(\[[^]]*\]|\(..|.)|\\s[+-]?\d|\\&|\\/|\\,|\\c|\\[|^]"), ""),
    (re.compile(r"\\\(aq|\\\(cq|\\\(oq"), "'"),
    (re.compile(r"\\\(lq|\\\(rq|\\\(dq"), '"'),
    (re.compile(r"\\(-|\(em|\(en|\(hy)"), "-"),
    (re.compile(r"\\\*?\(..|\\\*?\[[^]]*\]|\\\*."), ""),
    (re.compile(r"\\[ ~]"), " "),
    (re.compile(r"\\e"), "\\\\"),
)


def roff_paragraphs(source: str) -> dict[str, str]:
    """Sections of a manual page by number of appearance, as text: macros dropped, their arguments kept for fonts."""
    sections: dict[str, str] = {}
    name = ""
    for line in source.splitlines():
        if line.startswith(('.\\"', "'\\\"", ".TH", ".ds", ".de", ".ie", ".el", ".if", ".so", ".TS", ".TE")):
            continue
        if line.startswith(".SH"):
            name = f"{len(sections)}"
            sections[name] = ""
            continue
        if line.startswith(".") or line.startswith("'"):
            macro, _, rest = line.partition(" ")
            line = (
                rest.replace('"', "") if macro in (".B", ".I", ".BR", ".IR", ".RB", ".RI", ".BI", ".IB", ".SM") else ""
            )
        for pattern, replacement in ROFF_ESCAPES:
            line = pattern.sub(replacement, line)
        if name:
            sections[name] += " " + line
    return {name: " ".join(text.split()) for name, text in sections.items()}


def manual_pages(packages: Path) -> Iterator[Page]:
    """Manual pages: the name line asks for the description (each page's own free licence; manpages-l10n)."""
    for package in PACKAGES:
        if not package.startswith(("manpages", "coreutils")):
            continue
        for match, raw in package_files(packages, package, r"/usr/share/man/(?:(\w+)/)?man(\d)/([^/]+)\.\d\w*\.gz"):
            language = LOCALES.get(match[1], "") if match[1] else "en"
            if not language:
                continue
            sections = roff_paragraphs(gzip.decompress(raw).decode("utf-8", errors="replace"))
            texts = list(sections.values())
            names, separator, purpose = (texts[0] if texts else "").partition(" - ")
            description = next((text for text in texts[2:] if len(text) >= SHORTEST), "")
            if separator and description:
                text = f"{names} - {purpose}. {description}"
                yield Page("manuals", f"{match[3]}.{match[2]}", language, text, (purpose, f"{names}: {purpose}"))


def stories(packages: Path) -> Iterator[Page]:
    """Messages of Battle for Wesnoth: narrative text, aligned over the languages (GPL-2.0-or-later)."""
    english: dict[str, str] = {}
    languages = "|".join(LOCALES)
    pattern = rf"/usr/share/games/wesnoth/[\d.]+/locale/({languages})/LC_MESSAGES/[\w-]+\.mo"
    for match, raw in package_files(packages, "wesnoth-1.16-data", pattern):
        catalogue = gettext.GNUTranslations(io.BytesIO(raw))._catalog  # type: ignore[attr-defined]
        for key, translated in catalogue.items():
            original = (key[0] if isinstance(key, tuple) else key).rpartition("\x04")[2].rpartition("^")[2]
            if len(original) < 2 * SHORTEST or not translated:
                continue
            name = hashlib.sha1(original.encode()).hexdigest()
            english[name] = plain(original)
            yield Page("stories", name, LOCALES[match[1]], plain(translated))
    for name, text in english.items():
        yield Page("stories", name, "en", text)


def definitions(packages: Path) -> Iterator[Page]:
    """WordNet's words and glosses (WordNet 3.0 licence)."""
    for _, raw in package_files(packages, "wordnet-base", r"/usr/share/wordnet/data\.\w+"):
        for line in raw.decode().splitlines():
            if line.startswith("  "):
                continue
            fields, _, gloss = line.partition(" | ")
            parts = fields.split()
            words = [parts[4 + 2 * n].replace("_", " ") for n in range(int(parts[3], 16))]
            gloss = gloss.strip()
            if len(gloss) >= SHORTEST:
                yield Page("definitions", f"{parts[2]}{parts[0]}", "en", gloss, (", ".join(words[:3]),))


def all_pages(texts: Path, data: Path, packages: Path) -> Iterator[Page]:
    """Pages of every source, white space folded."""
    sources: Iterable[Iterator[Page]] = (
        office_pages(data),
        office_segments(texts),
        package_descriptions(texts),
        spanish_questions(data),
        abstracts(data),
        desktop_help(packages),
        manual_pages(packages),
        stories(packages),
        definitions(packages),
    )
    for source in sources:
        count = 0
        for page in source:
            count += 1
            yield Page(page.source, page.key, page.language, fold(page.text), tuple(map(fold, page.queries)))
        if not count:
            raise FormatError("a source of text gave no page: has its layout changed?")


def fold(text: str) -> str:
    return " ".join(text.split())


def fingerprint(texts: Path, data: Path, packages: Path) -> dict[str, int]:
    """Size in bytes of every file that is read, by name: enough to notice another edition of a source."""
    used = [*texts.glob("*/*.jsonl.gz"), *(found for name in PACKAGES for found in packages.glob(f"{name}_*.deb"))]
    for folder in (*(data / f"{language}-lohelp" for language in LANGUAGES), data / "es-squad", data / "en-scifact"):
        used += [path for path in folder.iterdir() if path.suffix in (".jsonl", ".tsv")]
    return {f"{path.parent.name}/{path.name}": path.stat().st_size for path in sorted(used)}
