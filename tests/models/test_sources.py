"""Pages out of the sources' own formats, and nothing of the evaluation among them."""

import gzip
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from recipe import debian, sources
from recipe.errors import FetchError
from recipe.examples import FOREIGN_QUERIES, Texts, choose_examples, limited, read_documents, read_texts
from recipe.pages import Page
from recipe.questions import of_text, of_title


def write_lines(path: Path, rows: list[dict[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)


def retrieval_set(
    folder: Path, documents: dict[str, str], training: dict[str, str], evaluation: dict[str, str]
) -> None:
    """A set whose queries are ``{document: query}``."""
    write_lines(folder / "corpus.jsonl", [{"_id": k, "title": f"On {k}", "text": v} for k, v in documents.items()])
    for queries, relevant, asked in (
        ("queries.jsonl", "qrels.tsv", evaluation),
        ("extra_queries.jsonl", "extra_qrels.tsv", training),
    ):
        write_lines(folder / queries, [{"_id": f"q{k}", "text": v} for k, v in asked.items()])
        lines = ["query-id\tcorpus-id\tscore", *(f"q{k}\t{k}\t1" for k in asked)]
        (folder / relevant).write_text("\n".join(lines) + "\n")


def names(evaluated: bool, count: int) -> list[str]:
    found = (f"swriter/{n}" for n in range(1000))
    return [name for name in found if sources.is_evaluated(name) is evaluated][:count]


def test_office_pages_leave_out_the_evaluations_pages_and_queries(tmp_path: Path) -> None:
    (kept, other), (hidden,) = names(False, 2), names(True, 1)
    for language in sources.LANGUAGES:
        retrieval_set(
            tmp_path / f"{language}-lohelp",
            {kept: "text of kept", other: "text of other", hidden: "text of hidden"},
            {kept: "tables,rows", other: "Borders"},
            {hidden: "borders"},
        )
    pages = list(sources.office_pages(tmp_path))
    assert {page.key for page in pages} == {kept, other}
    assert {page.queries for page in pages if page.key == kept} == {("tables, rows",)}
    assert {page.queries for page in pages if page.key == other} == {()}  # an evaluation query but for its case


def test_segments_of_evaluated_pages_and_headings_are_left_out(tmp_path: Path) -> None:
    (kept,), (hidden,) = names(False, 1), names(True, 1)
    long = "A sentence that is long enough to be worth a document."
    rows = [
        {"key": f"{page}#{part}", "en": long, "nl": "Een zin."} for page in (kept, hidden) for part in ("par", "hd_")
    ]
    write_lines(tmp_path / "libreoffice-help" / "parallel.jsonl.gz", rows)
    assert [(page.key, page.language) for page in sources.office_segments(tmp_path)] == [
        (f"{kept}#par", "en"),
        (f"{kept}#par", "nl"),
    ]


def test_abstracts_that_a_claim_of_the_evaluation_asks_for_are_left_out(tmp_path: Path) -> None:
    retrieval_set(tmp_path / "en-scifact", {"1": "one", "2": "two"}, {}, {"2": "a claim"})
    assert [(page.key, page.queries) for page in sources.abstracts(tmp_path)] == [("1", ("On 1",))]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"parallel\.jsonl\.gz is missing"):
        list(sources.office_segments(tmp_path))


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


def test_glosses_name_their_words_and_definitions_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    gloss = "the value below which 50% of the cases fall"
    lines = f"  licence\n06021761 09 n 02 median 0 median_value 0 001 @ 0 n 0000 | {gloss}  \n1 09 n 01 x 0 | short\n"
    package(monkeypatch, {"/usr/share/wordnet/data.noun": lines.encode()})
    (named,), (bare,) = debian.glosses(Path("packages")), debian.definitions(Path("packages"))
    assert (named.text, named.queries) == (f"median, median value: {gloss}", ("median, median value",))
    assert (bare.text, bare.queries, bare.key) == (gloss, named.queries, named.key)


def test_messages_of_a_program_are_aligned_over_the_languages(
    monkeypatch: pytest.MonkeyPatch, catalogue: Callable[[dict[str, str]], bytes]
) -> None:
    original, translated = "MEDIAN:median of a data set", "MEDIAN:Median eines Datensatzes"
    raw = catalogue({original: translated, "short": "kurz"})
    package(monkeypatch, {"/usr/share/locale/de/LC_MESSAGES/gnumeric-1.12.55.mo": raw})
    pages = [(page.language, page.text) for page in debian.messages(Path("packages"))]
    assert set(pages) == {("de", translated), ("en", original)}
    assert len({page.key for page in debian.messages(Path("packages"))}) == 1


def test_translations_of_a_page_are_chosen_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recipe.examples.LIMITS", {"packages": 3})
    pages = [Page("packages", str(n), language, f"{n} {language}") for n in range(20) for language in ("de", "en")]
    chosen = limited(pages)
    assert len(chosen) == 3
    assert all(set(versions) == {"de", "en"} for versions in chosen.values())
    assert chosen == limited(reversed(pages))


def test_examples_pair_documents_with_queries_of_several_languages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recipe.corpus.word_frequencies", lambda wheel, language: [("wort", 0.5), ("und", 0.1)])
    monkeypatch.setattr("recipe.examples.MIXTURES", {"mixtures": (1, 1)})
    pages = [
        Page("office", "a", language, f"Text in {language}", (f"query in {language}",))
        for language in ("de", "en", "nl")
    ]
    pages.append(Page("stories", "b", "de", "Es war einmal"))
    pages.append(Page("stories", "b", "en", "Once upon a time"))
    pages.append(Page("definitions", "c", "en", "a large plant", ("tree",), (("nl", "boom"),)))
    choose_examples(pages, Path("words"), tmp_path)
    texts, queries = read_texts(tmp_path)
    documents = [row for row in read_documents(tmp_path) if row["source"] != "mixtures"]
    german = next(row for row in documents if texts[row["text"]] == "Text in de")
    asked = {(language, texts[text]) for language, text in german["queries"]}
    questions = {("de", of_title("de", "query in de")), ("de", of_text("de", "Text in de"))}
    assert asked == {(language, f"query in {language}") for language in ("de", "en", "nl")} | questions
    assert sum(language != "de" for language, _ in asked) <= FOREIGN_QUERIES
    story = next(row for row in documents if texts[row["text"]] == "Es war einmal")
    assert [(language, texts[text]) for language, text in story["queries"]] == [
        ("de", of_text("de", "Es war einmal")),
        ("en", "Once upon a time"),
    ]
    word = next(row for row in documents if texts[row["text"]] == "a large plant")
    assert [(language, texts[text]) for language, text in word["queries"]] == [("en", "tree"), ("nl", "boom")]
    assert all(queries[text] for row in documents for _, text in row["queries"])
    assert not any(queries[row["text"]] for row in documents)


def test_a_text_is_kept_once_for_each_role() -> None:
    texts = Texts()
    assert [texts.add("query", "a"), texts.add("document", "a"), texts.add("query", "a")] == [0, 1, 0]
