"""Every format gives its sentences in order, with headings, pages and lines."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import pytest

from latelite.errors import MissingExtraError
from latelite.sources.blocks import Block, Record
from latelite.sources.content import NotTextError
from latelite.sources.extraction import extract
from latelite.sources.formats import archive

Faults = list[tuple[str, str]]


def blocks(data: bytes | str, name: str, faults: Faults | None = None) -> list[Block]:
    data = data.encode() if isinstance(data, str) else data

    def fault(place: str, what: str) -> None:
        if faults is None:
            pytest.fail(f"{place}: {what}")
        faults.append((place, what))

    found = list(extract(io.BytesIO(data), name, fault, size=len(data)))
    return [each for each in found if isinstance(each, Block)]


def outline(data: bytes | str, name: str) -> list[tuple[str, tuple[str, ...], int | None]]:
    return [(each.text.strip(), each.headings, each.line) for each in blocks(data, name) if each.text.strip()]


def test_markdown() -> None:
    text = """---
title: "The Book"
tags: [a]
---
# One

Text.

```sh
# a comment, no heading
```

## Two ##
- item
Under
-----
More.
"""
    found = blocks(text, "a.md")
    assert {each.title for each in found if each.line and each.line > 4} == {"The Book"}
    assert outline(text, "a.md")[4:] == [
        ("# One", ("One",), 5),
        ("Text.", ("One",), 7),
        ("```sh", ("One",), 9),
        ("# a comment, no heading", ("One",), 10),
        ("```", ("One",), 11),
        ("## Two ##", ("One", "Two"), 13),
        ("- item", ("One", "Two"), 14),
        ("Under", ("One", "Two"), 15),
        ("-----", ("One", "Two"), 16),
        ("More.", ("One", "Two"), 17),
    ]
    assert [each[1] for each in outline("First\n=====\n\nSecond\n---\n\nx\n", "a.md")] == [
        ("First",),
        ("First",),
        ("First", "Second"),
        ("First", "Second"),
        ("First", "Second"),
    ]


def test_restructured_text() -> None:
    text = "=====\nTitle\n=====\n\nIntro.\n\nPart\n----\n\nText.\n\nSub\n~~~\n\nx\n\nPart 2\n------\n\ny\n"
    found = {text: headings for text, headings, _ in outline(text, "a.rst")}
    assert found["Intro."] == ("Title",)
    assert found["x"] == ("Title", "Part", "Sub")
    assert found["y"] == ("Title", "Part 2")


def test_org_and_asciidoc() -> None:
    org = "#+title: Notes\n* TODO One :tag:\nx\n** Two\ny\n* Three\n"
    found = {text: headings for text, headings, _ in outline(org, "a.org")}
    assert found["y"] == ("One", "Two")
    assert blocks(org, "a.org")[-1].title == "Notes"
    adoc = "= Book\n\n== One\nx\n\n----\n== code\n----\n\n=== Two\ny\n"
    found = {text: headings for text, headings, _ in outline(adoc, "a.adoc")}
    assert found["== code"] == ("Book", "One")
    assert found["y"] == ("Book", "One", "Two")


def test_html() -> None:
    page = """<!doctype html><html><head><title>A &amp; B</title><style>p{}</style><script>var x = "<p>no</p>";</script>
</head><body><nav><a href="/">Home</a></nav><h1>One</h1>
<p>A paragraph  with <b>bold</b> and
a second line.<p>No end tag<br>next line
<h2>Two</h2><ul><li>first<li>second</ul>
<table><tr><th>Name<th>Age<tr><td>Ann<td>7</table><pre>kept
  as it is</pre><!-- comment -->&eacute;tude</body></html>"""
    found = blocks(page, "page")
    assert [each.text.rstrip("\n") for each in found] == [
        "One",
        "A paragraph with bold and a second line.",
        "No end tag\nnext line",
        "Two",
        "first",
        "second",
        "Name\tAge",
        "Ann\t7",
        "kept\n  as it is",
        "étude",
    ]
    assert {each.title for each in found} == {"A & B"}
    assert found[1].headings == ("One",)
    assert found[4].headings == ("One", "Two")
    assert (found[1].line, found[4].line) == (3, 5)


def test_html_without_end_is_refused_not_swallowed() -> None:
    with pytest.raises(ValueError, match="does not end"):
        blocks("<html><p>x</p><!--" + "a" * 3_000_000, "a.html")


def test_manual_pages() -> None:
    page = r""".\" comment
.TH LS 1 "May 2024"
.SH NAME
ls \- list directory contents
.SH "EXIT STATUS"
.TP
\fB\-a\fR, \fB\-\-all\fR
do not ignore entries \(em really \(:u
.BR cat (1)
.de XX
hidden
..
"""
    assert outline(page, "ls.1") == [
        ("NAME", ("NAME",), 3),
        ("ls - list directory contents", ("NAME",), 4),
        ("EXIT STATUS", ("EXIT STATUS",), 5),
        ("-a, --all", ("EXIT STATUS",), 7),
        ("do not ignore entries — really ü", ("EXIT STATUS",), 8),
        ("cat(1)", ("EXIT STATUS",), 9),
    ]
    assert blocks(page, "ls.1")[0].title == "LS(1)"


def test_tables() -> None:
    table = 'name;said\nAnn;"two\nlines"\n\nBob;x\n'
    assert outline(table, "a.csv") == [("name: Ann\nsaid: two lines", (), 2), ("name: Bob\nsaid: x", (), 5)]
    assert outline("1,2\n3,4\n", "a.csv") == [("1 | 2", (), 1), ("3 | 4", (), 2)]
    assert outline("a\tb\n1\t2\n", "a.tsv") == [("a: 1\nb: 2", (), 2)]
    assert outline("", "a.csv") == []
    faults: Faults = []
    found = blocks("a,b\n" + "x" * 2_000_000 + ",y\n1,2\n", "a.csv", faults)
    assert [place for place, _ in faults] == ["line 2"]
    assert found[-1].text.strip() == "a: 1\nb: 2"


def records(data: str) -> tuple[list[Record], Faults]:
    faults: Faults = []
    source = io.BytesIO(data.encode("utf-8", "surrogatepass"))
    found = list(extract(source, "corpus.jsonl", lambda *each: faults.append(each), size=len(data)))
    return [each for each in found if isinstance(each, Record)], faults


def test_json_lines() -> None:
    found, faults = records('\ufeff{"_id": "7", "title": "T", "text": "x", "year": 1999}\n\n{"id": 8, "text": "y"}')
    assert found == [Record("7", "T\nx", {"year": 1999}, 1), Record("8", "y", {}, 3)]
    assert faults == []


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("{", "not a document"),
        ("[]", "a JSON a list"),
        ('{"id": 1}', "has no text"),
        ('{"text": "x"}', "has no id"),
        ('{"id": 1, "text": null}', "has no text"),
        ('{"id": 2, "title": "T", "text": null}', "has no text"),
        ('{"id": 2, "title": ["T"], "text": "x"}', "title is a list"),
        ('{"id": 2, "text": ["x"]}', "text is a list"),
        ('{"id": true, "text": "x"}', "id is a truth value"),
        ('{"id": 3, "text": "x", "score": NaN}', "NaN is not JSON"),
        ('{"id": "4", "text": "b"}', "which line 1 has already"),
        ('{"id": 5, "text": "x", "deep": ' + "[" * 100_000 + "}", "not a document"),
    ],
)
def test_a_bad_line_is_named_and_the_others_are_read(line: str, what: str) -> None:
    found, faults = records('{"id": 4, "text": "a"}\n' + line + '\n{"id": 9, "text": "z"}\n')
    assert [each.id for each in found] == ["4", "9"]
    ((place, said),) = faults
    assert place == "line 2"
    assert what.replace("a JSON a list", "a list") in said


def test_gzip_of_anything() -> None:
    assert outline(gzip.compress(b"# One\n\nx\n"), "a.md.gz")[1] == ("x", ("One",), 3)
    assert outline(gzip.compress(".SH NAME\nls".encode("latin-1")), "ls.1.gz")[1] == ("ls", ("NAME",), 2)
    assert outline(gzip.compress("Grüße".encode("latin-1")), "x.gz") == [("Grüße", (), 1)]


@pytest.mark.parametrize(
    ("data", "error", "what"),
    [
        (gzip.compress(b"text " * 10_000)[:-20], ValueError, "damaged gzip"),
        (gzip.compress(b"text " * 10_000)[:30] + b"xxxxxx", ValueError, "damaged gzip"),
        (gzip.compress(b"\x89PNG\r\n"), NotTextError, "PNG"),
        (gzip.compress(gzip.compress(b"x")), NotTextError, "packed twice"),
        (gzip.compress(b"a lot of text\n" * 6_000_000), ValueError, "unpacks to more than"),
        (b"PK\x03\x04 no archive", ValueError, "damaged ZIP"),
        (b"%PDF-1.4 nothing", ValueError, "damaged PDF"),
    ],
)
def test_damaged_and_endless_archives(data: bytes, error: type[Exception], what: str) -> None:
    if data.startswith(b"%PDF"):
        pytest.importorskip("pypdfium2", reason="pypdfium2 (extra files) is not installed")
    with pytest.raises(error, match=what):
        blocks(data, "a.gz")


def zipped(parts: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in parts.items():
            file.writestr(name, data)
    return out.getvalue()


def test_zip_bombs_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "LARGEST", 1 << 20)
    bomb = zipped({"word/document.xml": b"<w>" + b"<p>x</p>" * 1_000_000})
    with pytest.raises(ValueError, match="unpacks to more than 1 MiB"):
        blocks(bomb, "a.docx")


def test_entities_are_not_expanded_without_end() -> None:
    entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10 if n else "lol"}">' for n in range(10))
    document = f"<?xml version='1.0'?><!DOCTYPE d [{entities}]><d>&a9;</d>".encode()
    with pytest.raises(ValueError, match="damaged"):
        blocks(zipped({"word/document.xml": document}), "a.docx")


def test_a_damaged_chapter_is_reported_and_the_others_are_read() -> None:
    container = b"""<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>
<rootfile full-path="OEBPS/book.opf"/></rootfiles></container>"""
    package = b"""<package xmlns="http://www.idpf.org/2007/opf"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:title>A Book</dc:title></metadata><manifest><item id="a" href="a.xhtml"/><item id="b" href="gone.xhtml"/>
<item id="c" href="c%20d.xhtml"/></manifest><spine><itemref idref="a"/><itemref idref="b"/><itemref idref="c"/></spine>
</package>"""
    book = zipped(
        {
            "META-INF/container.xml": container,
            "OEBPS/book.opf": package,
            "OEBPS/a.xhtml": "<html><body><h1>Eins</h1><p>Grüße.</p></body></html>".encode(),
            "OEBPS/c d.xhtml": b"<html><body><p>The end.</p></body></html>",
        }
    )
    faults: Faults = []
    found = blocks(book, "a.epub", faults)
    assert [(each.text.strip(), each.page, each.title) for each in found] == [
        ("Eins", 1, "A Book"),
        ("Grüße.", 1, "A Book"),
        ("The end.", 3, "A Book"),
    ]
    assert [place for place, _ in faults] == ["chapter 2 (OEBPS/gone.xhtml)"]


def test_without_the_library_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pypdfium2", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'latelite\[files\]'"):
        blocks(b"%PDF-1.4", "a.pdf")


def test_source_code_is_read_as_it_is(tmp_path: Path) -> None:
    code = "import os\n\n\ndef f(x):\n    return x + 1\n"
    assert "".join(each.text for each in blocks(code, "a.py")) == code
