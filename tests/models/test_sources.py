"""Pages out of the sources' own formats, and the documents that are made of them."""

import gzip
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from recipe import debian, general, sources
from recipe.errors import FetchError
from recipe.examples import (
    Document,
    choose_documents,
    limit,
    read_documents,
    without_leaks,
    write_documents,
)
from recipe.leaks import Evaluated, LeakFilter
from recipe.pages import Page

LONG = "A sentence that is long enough to be worth a document of its own."


def write_lines(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))


def test_help_pages_are_passages_asked_for_by_their_headings_and_segments(tmp_path: Path) -> None:
    rows = [
        {"key": "swriter/a#hd_1", "en": "Tables", "nl": "Tabellen"},
        {"key": "swriter/a#par_1", "en": LONG, "nl": "Een zin."},
        {"key": "swriter/a#par_2", "en": f"{LONG} " * 10},
        {"key": "swriter/a#par_3", "en": LONG},
    ]
    write_lines(tmp_path / "libreoffice-help" / "parallel.jsonl.gz", rows)
    pages = list(sources.office(tmp_path))
    passages = [page for page in pages if page.source == "office"]
    assert [(page.key, page.language, page.queries) for page in passages] == [
        ("swriter/a#0", "en", ("Tables",)),
        ("swriter/a#1", "en", ("Tables",)),
    ]
    assert [page.key for page in pages if page.source == "office.parallel"] == [f"swriter/a#par_{n}" for n in (1, 2, 3)]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"parallel\.jsonl\.gz is missing"):
        list(sources.office(tmp_path))


def test_a_quizs_answer_is_asked_for_by_its_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(general, "SENTENCES", ("openquizzdb",))
    rows = [
        {"id": "quiz/1/q", "en": "How do sharks breathe?", "de": "Wie atmen Haie?"},
        {"id": "quiz/1/a", "en": "Sharks breathe through their gills.", "de": "Haie atmen durch ihre Kiemen."},
    ]
    write_lines(tmp_path / "general" / "openquizzdb.parallel.jsonl.gz", rows)
    pages = {(page.key, page.language): page.queries for page in general.sentences(tmp_path)}
    assert pages[("quiz/1/a", "de")] == ("Wie atmen Haie?",)
    assert pages[("quiz/1/q", "de")] == ()


def test_reserved_domains_are_no_source() -> None:
    assert not set(general.RESERVED) & {*general.ARTICLES, *general.SENTENCES, *general.TERMS}


def test_terms_are_lists_in_several_languages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(general, "TERMS", ("lexicon",))
    rows = [{"id": "1", "en": ["house"], "de": "Haus", "sv": "hus"}, {"id": "2", "en": ["x"]}]
    write_lines(tmp_path / "general" / "lexicon.parallel.jsonl.gz", rows)
    assert list(general.terms(tmp_path)) == [{"de": ["Haus"], "en": ["house"]}]


def test_roff_becomes_text() -> None:
    page = r""".TH RM 1
.SH NAME
rm \- remove files
.SH SYNOPSIS
.B rm
[\fIOPTION\fR]...
.SH DESCRIPTION
This manual page documents
.BR rm (1).
It doesn\(aqt ask.
"""
    sections = list(debian.roff_paragraphs(page).values())
    assert sections == ["rm - remove files", "rm [OPTION]...", "This manual page documents rm (1). It doesn't ask."]


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb builds the package that this test reads")
def test_pages_come_out_of_a_debian_package(tmp_path: Path) -> None:
    root = tmp_path / "root"
    help_page = root / "usr/share/help/de/gnome-help/clock.page"
    help_page.parent.mkdir(parents=True)
    help_page.write_text(
        "<page><info><desc>Eine Uhr &amp; ein Kalender.</desc></info><title>Uhr</title>"
        "<p>Die Uhr zeigt <em>Stunden</em> und Minuten in der oberen Leiste.</p></page>"
    )
    (root / "DEBIAN").mkdir()
    (root / "DEBIAN/control").write_text(
        "Package: gnome-user-docs\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: x\n"
    )
    subprocess.run(["dpkg-deb", "--build", str(root), str(tmp_path / "gnome-user-docs_1_all.deb")], check=True)
    (page,) = debian.desktop_help(tmp_path)
    assert (page.key, page.language) == ("gnome-help/clock", "de")
    assert page.text == "Die Uhr zeigt Stunden und Minuten in der oberen Leiste."
    assert page.queries == ("Uhr", "Eine Uhr & ein Kalender.")
    with pytest.raises(FetchError, match="apt-get download manpages-de"):
        list(debian.package_files(tmp_path, "manpages-de", ".*"))


def package(monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes]) -> None:
    """Let every package hold these files."""

    def matching(packages: Path, name: str, pattern: str) -> Iterator[tuple[re.Match[str], bytes]]:
        del packages, name
        for path, raw in files.items():
            if match := re.fullmatch(pattern, path):
                yield match, raw

    monkeypatch.setattr(debian, "package_files", matching)


def test_the_reference_gives_signatures_with_their_descriptions(monkeypatch: pytest.MonkeyPatch) -> None:
    source = """
<dt class="sig sig-object py" id="statistics.mean">
<span>statistics.</span><span>mean</span>(<em>data</em>)<a class="headerlink">¶</a></dt>
<dd><p>Return the arithmetic mean of data.
It may be a sequence.</p><pre>mean([1])</pre><p>The mean is the sum &amp; a division.</p></dd>
<dt class="sig" id="statistics.x">x</dt>
<dd><p>Short.</p></dd>"""
    package(monkeypatch, {"/usr/share/doc/python3.11/html/library/statistics.html": source.encode()})
    (page,) = debian.reference(Path("packages"))
    assert (page.source, page.key, page.language) == ("reference", "statistics:0", "en")
    assert page.text == (
        "statistics.mean(data) Return the arithmetic mean of data. It may be a sequence. "
        "The mean is the sum & a division."
    )
    assert page.queries == ("Return the arithmetic mean of data.",)


def test_messages_of_a_program_are_aligned_over_the_languages(
    monkeypatch: pytest.MonkeyPatch, catalogue: Callable[[dict[str, str]], bytes]
) -> None:
    original, translated = "MEDIAN:median of a data set", "MEDIAN:Median eines Datensatzes"
    raw = catalogue({original: translated, "short": "kurz"})
    package(monkeypatch, {"/usr/share/locale/de/LC_MESSAGES/gnumeric-1.12.55.mo": raw})
    pages = list(sources.messages(Path("packages")))
    assert {(page.language, page.text) for page in pages} == {("de", translated), ("en", original)}
    assert len({page.key for page in pages}) == 1


def test_translations_of_a_page_are_chosen_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recipe.examples.LIMITS", {"packages": 3})
    pages = [Page("packages", str(n), language, f"{n} {language}") for n in range(20) for language in ("de", "en")]
    chosen = limit(pages)
    assert len(chosen) == 3
    assert all(set(versions) == {"de", "en"} for versions in chosen.values())
    assert set(chosen) == set(limit(reversed(pages)))


def test_passages_of_a_page_stay_in_order() -> None:
    pages = [Page("klexikon", f"{name}#{n:06}", "de", f"{name} {n}") for name in "ab" for n in range(3)]
    keys = [key for _, key in limit(pages)]
    assert sorted(keys[:3]) == keys[:3]
    assert len({key[0] for key in keys[:3]}) == 1


def test_a_query_in_another_language_comes_with_what_it_means_in_the_documents() -> None:
    pages = [Page("quiz", "a", language, f"Text in {language}", (f"query in {language}",)) for language in ("de", "en")]
    pages += [Page("story", "b", "de", "Es war einmal"), Page("story", "b", "en", "Once upon a time")]
    documents = {(one.source, one.language): one for one in choose_documents(pages)}
    assert documents["quiz", "de"].queries == ("query in de",)
    assert documents["quiz", "de"].foreign == (("en", "query in en", "query in de"),)
    assert documents["story", "de"].foreign == (("en", "Once upon a time", "Es war einmal"),)
    assert documents["story", "de"].queries == ()


def test_documents_are_read_as_they_were_written(tmp_path: Path) -> None:
    documents = [Document("quiz", "a#1", "de", "Text", ("Frage?",), (("en", "Question?", "Frage?"),), False)]
    write_documents(documents, tmp_path)
    assert list(read_documents(tmp_path)) == documents
    assert json.loads((tmp_path / "counts.json").read_text()) == {"quiz-de": 1}


def test_judged_pages_and_asked_queries_are_left_out() -> None:
    judged = LeakFilter([Evaluated("en-help", {"help/3": LONG}, ("Where do I find the tables?",), (LONG,))])
    pages = [
        Page("office", "help/3#0", "de", "Auf Deutsch steht hier etwas anderes."),
        Page("office", "help/4#0", "en", "Nothing that is judged.", ("where do I find the tables", "Tables")),
        Page("news", "1", "en", f"It was said: {LONG}"),
    ]
    (kept,) = without_leaks(pages, judged)
    assert (kept.key, kept.queries) == ("help/4#0", ("Tables",))
