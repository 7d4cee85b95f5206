"""Text is recognised in common encodings."""

from __future__ import annotations

import codecs
import io

import pytest

from latelite.sources import content, encodings
from latelite.sources.formats import plain

GERMAN = "Grüße aus Köln: der Zug fährt um sieben Uhr.\n"
TEXTS = {
    "German": GERMAN,
    "Spanish": "¿Dónde está el baño? Mañana iré a la montaña con mi compañía.\n",
    "French": "L'été dernier, nous avons mangé des crêpes à la crème près du château.\n",
    "Portuguese": "Não há pão, mas há maçãs e limões na cozinha.\n",
    "Polish": "Zażółć gęślą jaźń. Pociąg na północ odjeżdża o siódmej rano.\n",
    "Czech": "Příliš žluťoučký kůň úpěl ďábelské ódy.\n",
    "Russian": "Съешь же ещё этих мягких французских булок, да выпей чаю.\n",
    "Japanese": "北行きの列車は七時に出発します。ライ麦パンには時間が必要です。\n",
    "Chinese": "開往北方的火車七點出發。黑麥麵包需要時間。\n",
}


def decoded(data: bytes) -> str:
    encoding = encodings.of_file(io.BytesIO(data))
    assert encoding is not None
    return "".join(block.text for block in plain.read(encodings.open_text(io.BytesIO(data), encoding)))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("mark", [True, False])
def test_unicode_with_and_without_mark(encoding: str, mark: bool) -> None:
    marks = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}
    data = (marks.get(encoding, b"") if mark else b"") + GERMAN.encode(encoding)
    assert decoded(data) == GERMAN


@pytest.mark.parametrize("times", [1, 5, 200])
@pytest.mark.parametrize(
    ("language", "encoding"),
    [
        *((language, "cp1252") for language in ("German", "Spanish", "French", "Portuguese")),
        ("German", "latin-1"),
        *((language, encoding) for language in ("Polish", "Czech") for encoding in ("cp1250", "iso8859-2")),
    ],
)
def test_latin_encodings_need_no_library(
    monkeypatch: pytest.MonkeyPatch, language: str, encoding: str, times: int
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "charset_normalizer", None)
    assert decoded((TEXTS[language] * times).encode(encoding)) == TEXTS[language] * times


@pytest.mark.parametrize("times", [1, 100])
@pytest.mark.parametrize(
    ("language", "encoding"),
    [("Russian", "cp1251"), ("Russian", "koi8-r"), ("Japanese", "cp932"), ("Japanese", "euc-jp"), ("Chinese", "big5"),
     ("German", "cp1252"), ("Polish", "cp1250"), ("Spanish", "cp1252")],
)  # fmt: skip
def test_other_scripts_by_charset_normalizer(language: str, encoding: str, times: int) -> None:
    pytest.importorskip("charset_normalizer", reason="charset-normalizer (extra files) is not installed")
    assert decoded((TEXTS[language] * times).encode(encoding)) == TEXTS[language] * times


def test_a_legacy_letter_far_from_the_start_is_found() -> None:
    text = "plain text without anything else\n" * 10_000 + GERMAN
    assert decoded(text.encode("latin-1")) == text


def test_one_damaged_byte_does_not_change_the_encoding_of_a_long_text() -> None:
    data = (GERMAN * 100).encode()
    assert decoded(data[:200] + b"\xff" + data[200:]).count("\ufffd") == 1


def test_mixed_line_ends_and_nul() -> None:
    assert decoded(b"one\r\ntwo\rthree\nfour and a little more text with one \0 in it" + b" x" * 50).split("\n")[
        :4
    ] == [
        "one",
        "two",
        "three",
        "four and a little more text with one   in it" + " x" * 50,
    ]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "a PNG image"),
        (b"SQLite format 3\0" + bytes(100), "an SQLite database"),
        (b"\x7fELF" + bytes(100), "a program"),
        (b"core dump with text\0\0\0\0\0\0\0\0 and more \xfe\xff\0", "not text"),
        (bytes(range(256)) * 4, "not text"),
        (b"text\0\0\0\0\0\0" * 10, "not text"),
    ],
)
def test_what_is_not_text_is_recognised(data: bytes, what: str) -> None:
    with pytest.raises(content.NotTextError, match=what):
        content.recognise(io.BytesIO(data), "core.txt")


@pytest.mark.parametrize(
    ("data", "name", "kind"),
    [
        (b"%PDF-1.7 ...", "notes.txt", "pdf"),
        (b"\x1f\x8b\x08", "a.txt", "gzip"),
        (b"<!DOCTYPE html><p>x", "page", "html"),
        (b"# Title", "a.MD", "markdown"),
        (b"x = 1", "a.py", "code"),
        (b".TH LS 1\n", "ls.1", "manual"),
        (b"some text", "version.1", "text"),
        (b"", "empty", "text"),
        (b'{"id": 1}', "a.ndjson", "jsonl"),
        (b'{"id": 1, "text": "x"}\n{"id": 2, "text": "y"}\n', "stdin", "jsonl"),
        (b'{"colour": 1}\n', "stdin", "text"),
    ],
)
def test_kinds(data: bytes, name: str, kind: str) -> None:
    assert content.recognise(io.BytesIO(data), name) == kind
