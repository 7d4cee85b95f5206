"""Training text from Debian packages: help, manual pages, handbooks, messages of programs.

Packages are files as downloaded by ``apt-get download`` on Debian 12. Each function names the licence of its text.
"""

from __future__ import annotations

import gettext
import gzip
import hashlib
import io
import re
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from recipe.books import LONGEST_PASSAGE, passages, plain
from recipe.errors import FetchError
from recipe.pages import SHORTEST, Page, first_sentence

MANUALS = [
    "manpages",
    "manpages-de",
    "manpages-es",
    "manpages-fr",
    "manpages-it",
    "manpages-nl",
    "manpages-pt-br",
    "coreutils",
    "manpages-dev",
    "manpages-de-dev",
    "manpages-es-dev",
    "manpages-fr-dev",
    "manpages-it-dev",
    "manpages-nl-dev",
    "manpages-pt-br-dev",
]
HANDBOOKS = {
    **{f"gimp-help-{name}": r"/usr/share/gimp/2\.0/help/LANGUAGE/(?P<name>.+)\.html"
       for name in ("de", "en", "es", "fr", "it", "nl", "pt-br")},
    "installation-guide-amd64": r"/usr/share/doc/installation-guide-amd64/LANGUAGE/(?P<name>.+)\.html",
    **{f"debian-reference-{name}": r"/usr/share/debian-reference/(?P<name>ch\d+)\.LANGUAGE\.html"
       for name in ("de", "en", "es", "fr", "it", "pt")},
    **{f"debian-faq{name}": r"/usr/share/doc/debian/FAQ/(?:\w\w/)?(?P<name>[\w-]+)\.LANGUAGE\.html"
       for name in ("", "-de", "-fr", "-it", "-nl", "-pt")},
    "debian-handbook": r"/usr/share/doc/debian-handbook/html/LANGUAGE/(?P<name>.+)\.html",
    "gnucash-docs": r"/usr/share/doc/gnucash-docs/gnucash-guide-LANGUAGE/(?P<name>.+)\.html",
}  # fmt: skip
APPLICATIONS = [
    "cantor",
    "dolphin",
    "gwenview",
    "kajongg",
    "kalzium-data",
    "kate5-data",
    "kbruch",
    "kgeography-data",
    "khelpcenter",
    "kigo",
    "kio",
    "kmail",
    "kmplot",
    "kmymoney-common",
    "konquest",
    "konsole",
    "korganizer",
    "kpat",
    "kphotoalbum",
    "krusader",
    "ksirk",
    "kstars-data",
    "kturtle",
    "marble-data",
    "okular",
    "parley-data",
    "rocs",
    "skrooge-common",
    "step",
]
PROGRAMS = [
    "apt",
    "coreutils",
    "digikam-data",
    "dpkg",
    "evolution-common",
    "file-roller",
    "findutils",
    "gedit-common",
    "gimp-data",
    "git",
    "gnome-control-center-data",
    "gnucash-common",
    "gnumeric-common",
    "gnupg-l10n",
    "gramps",
    "homebank-data",
    "inkscape",
    "kdenlive-data",
    "kstars-data",
    "libglib2.0-data",
    "libgtk-3-common",
    "mc-data",
    "nautilus-data",
    "pidgin-data",
    "rhythmbox-data",
    "shotwell-common",
    "tar",
    "thunar-data",
    "vlc-l10n",
    "wget",
]
PYTHON = "python3.11-doc"
PACKAGES = tuple(dict.fromkeys((
    "gnome-user-docs",
    PYTHON,
    *PROGRAMS,
    *MANUALS,
    *HANDBOOKS,
    *APPLICATIONS,
)))  # fmt: skip
"""Names of the Debian 12 packages used here."""

LOCALES = {"de": "de", "es": "es", "fr": "fr", "it": "it", "nl": "nl", "pt": "pt", "pt_BR": "pt"}
FOLDERS = {"C": "en", "en-US": "en", "de-DE": "de", "es-ES": "es", "fr-FR": "fr", "it-IT": "it", "nl-NL": "nl",
           "pt-BR": "pt", "en": "en", **LOCALES}  # fmt: skip
"""Folder name -> language; if a book has both Portuguese versions, the later one in the archive is used."""


def package_files(packages: Path, name: str, pattern: str) -> Iterator[tuple[re.Match[str], bytes]]:
    """The files of a Debian package whose paths match, in the archive's order."""
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
    """Sections of a manual page as text, by heading; macros are dropped, and the arguments of font macros kept."""
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
    """Manual pages: the name line is the query of the description (each page's free licence; manpages-l10n)."""
    for package in MANUALS:
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


def catalogue_pages(packages: Path, source: str, folders: Mapping[str, str], shortest: int) -> Iterator[Page]:
    """Messages of programs, ``package -> folder of catalogues``, with originals of at least ``shortest`` characters."""
    english: dict[str, str] = {}
    languages = "|".join(LOCALES)
    for package, folder in folders.items():
        for match, raw in package_files(packages, package, rf"{folder}/({languages})/LC_MESSAGES/[\w.-]+\.mo"):
            catalogue = gettext.GNUTranslations(io.BytesIO(raw))._catalog  # type: ignore[attr-defined]
            for key, translated in catalogue.items():
                original = (key[0] if isinstance(key, tuple) else key).rpartition("\x04")[2].rpartition("^")[2]
                if len(original) < shortest or not translated:
                    continue
                name = hashlib.sha1(original.encode()).hexdigest()
                english[name] = plain(original)
                yield Page(source, name, LOCALES[match[1]], plain(translated))
    for name, text in english.items():
        yield Page(source, name, "en", text)


def messages(packages: Path) -> Iterator[Page]:
    """Messages of programs about files, mail, money, numbers, pictures and music (each program's free licence)."""
    return catalogue_pages(packages, "messages", dict.fromkeys(PROGRAMS, "/usr/share/locale"), SHORTEST // 2)


SIGNATURE = re.compile(r'<dt class="sig[^"]*" id="[\w.]+">(.*?)</dt>\s*<dd>(.*?)(?=<dt |</dd>)', re.S)


def reference(packages: Path) -> Iterator[Page]:
    """Python's library reference: signature and description of each function and class (PSF-2.0)."""
    for match, raw in package_files(packages, PYTHON, r"/usr/share/doc/python3\.\d+/html/library/(.+)\.html"):
        for number, (signature, body) in enumerate(SIGNATURE.findall(raw.decode())):
            paragraphs = [plain(text) for text in re.findall(r"<p>(.*?)</p>", body, re.S)]
            description = " ".join(paragraphs)[:LONGEST_PASSAGE]
            purpose = first_sentence(description)
            if len(purpose) >= SHORTEST // 2:
                text = f"{plain(signature).removesuffix('¶')} {description}"
                yield Page("reference", f"{match[1]}:{number}", "en", text, (purpose,))


def book_pages(packages: Path, source: str, books: Mapping[str, str]) -> Iterator[Page]:
    """Passages of books, ``package -> pattern of paths``; files with the same name are translations."""
    languages = "|".join(FOLDERS)
    files: dict[str, dict[str, str]] = {}
    for package, pattern in books.items():
        for match, raw in package_files(packages, package, pattern.replace("LANGUAGE", f"(?P<language>{languages})")):
            name = f"{pattern}:{match['name']}"
            files.setdefault(name, {})[FOLDERS[match["language"]]] = raw.decode("utf-8", errors="replace")
    for name, versions in sorted(files.items()):
        for found in passages(name, versions):
            if len(found.text) >= SHORTEST:
                yield Page(source, found.key, found.language, found.text, (found.title,) if found.title else ())


def handbooks(packages: Path) -> Iterator[Page]:
    """Handbooks of Debian, GIMP and GnuCash (GPL-2.0-or-later; GIMP and GnuCash: GFDL-1.2-or-later)."""
    return book_pages(packages, "handbooks", HANDBOOKS)


def applications(packages: Path) -> Iterator[Page]:
    """Handbooks of KDE's programs: astronomy, chemistry, geography, money, games (GFDL-1.2-or-later)."""
    path = r"/usr/share/doc/HTML/LANGUAGE/(?P<name>.+)\.docbook"
    for package in APPLICATIONS:
        yield from book_pages(packages, "applications", {package: path})
