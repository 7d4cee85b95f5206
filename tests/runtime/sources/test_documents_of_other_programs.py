"""PDF, DOCX, PPTX and EPUB files written by other programs give their sentences in order."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import pytest

from latelite.sources.blocks import Block
from latelite.sources.extraction import extract

SENTENCES = [
    "Bread needs rye flour and a little patience.",
    "Grüße aus Köln: der Zug fährt um sieben Uhr über die Brücke.",
    "The garden is watered in the evening, never at noon.",
    "A letter came in winter, and it said nothing.",
    "El pan de mañana está sobre la mesa de la cocina.",
]
MARKDOWN = f"""---
title: The Book of Bread
---

# Baking

{SENTENCES[0]}

{SENTENCES[1]}

## Garden

{SENTENCES[2]}

- {SENTENCES[3]}

| name | said |
|------|------|
| Ann  | {SENTENCES[4]} |
"""


def blocks(file: Path) -> list[Block]:
    data = file.read_bytes()
    found = extract(io.BytesIO(data), file.name, lambda place, what: pytest.fail(f"{place}: {what}"), size=len(data))
    return [block for block in found if isinstance(block, Block)]


def check_order(found: list[Block]) -> None:
    text = " ".join("".join(block.text for block in found).split())
    places = [text.find(sentence) for sentence in SENTENCES]
    assert -1 not in places
    assert places == sorted(places)


def pandoc(folder: Path, name: str) -> Path:
    if shutil.which("pandoc") is None:
        pytest.skip("pandoc is not installed")
    (folder / "book.md").write_text(MARKDOWN)
    subprocess.run(["pandoc", "book.md", "-o", name], cwd=folder, check=True, timeout=120)
    return folder / name


def converted(file: Path, suffix: str) -> Path:
    """The same document, written by LibreOffice."""
    if shutil.which("soffice") is None:
        pytest.skip("LibreOffice is not installed")
    profile = f"-env:UserInstallation=file://{file.parent}/profile"
    command: list[str | Path] = [
        "soffice",
        profile,
        "--headless",
        "--convert-to",
        suffix,
        "--outdir",
        file.parent / "out",
        file,
    ]
    subprocess.run(command, check=True, timeout=180, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return file.parent / "out" / f"{file.stem}.{suffix}"


@pytest.mark.parametrize("suffix", ["docx", "epub", "pptx", "html", "rst", "org"])
def test_pandoc(tmp_path: Path, suffix: str) -> None:
    found = blocks(pandoc(tmp_path, f"book.{suffix}"))
    check_order(found)
    garden = next(block for block in found if SENTENCES[2] in block.text)
    # On a slide pandoc writes the second heading as a line of text.
    assert garden.headings[-1:] == (("Baking",) if suffix == "pptx" else ("Garden",))
    if suffix in ("docx", "epub"):
        assert garden.title == "The Book of Bread"


def test_docx_of_libreoffice(tmp_path: Path) -> None:
    found = blocks(converted(pandoc(tmp_path, "book.odt"), "docx"))
    check_order(found)
    assert next(block for block in found if SENTENCES[2] in block.text).headings[-1:] == ("Garden",)


def test_pdf_of_libreoffice(tmp_path: Path) -> None:
    pytest.importorskip("pypdfium2", reason="pypdfium2 (extra files) is not installed")
    found = blocks(converted(pandoc(tmp_path, "book.docx"), "pdf"))
    check_order(found)
    assert {block.page for block in found} <= {1, 2}


def test_pptx_of_libreoffice(tmp_path: Path) -> None:
    found = blocks(converted(pandoc(tmp_path, "book.pptx"), "pptx"))
    check_order(found)
    assert all(block.page for block in found)
