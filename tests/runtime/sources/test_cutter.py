"""Passages: whole text, bounded length, cuts that depend on the text around them."""

from __future__ import annotations

import io
import random
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latelite.models import ColBERT
from latelite.sources.blocks import Block
from latelite.sources.cutter import Cut, cut
from latelite.sources.formats import markup, plain

LIMIT = 60


def words(texts: Sequence[str]) -> list[int]:
    """A tokenizer of words, and of Chinese characters."""
    return [len("".join(f" {c} " if c > "\u2e80" else c for c in text).split()) for text in texts]


def cuts(text: str, *, limit: int = LIMIT, overlap: float = 0.0) -> list[Cut]:
    return list(cut(plain.read(io.StringIO(text)), words, limit=limit, overlap=overlap))


def prose(seed: int, paragraphs: int, *, sentences: int = 4) -> str:
    random.seed(seed)

    def sentence() -> str:
        some = random.choices(["rye", "bread", "train", "north", "water", "seven", "book", "table", "garden"], k=9)
        return " ".join(some).capitalize() + str(random.randrange(10**6)) + "."

    return "\n\n".join(" ".join(sentence() for _ in range(sentences)) for _ in range(paragraphs))


@given(st.text(alphabet="ab .\n\t。天", max_size=600), st.integers(6, 30))
def test_no_word_is_lost_or_repeated_and_no_passage_is_too_long(text: str, limit: int) -> None:
    found = cuts(text, limit=limit)
    assert all(words([each.text])[0] <= limit and each.text.strip() == each.text != "" for each in found)
    assert "".join("".join(each.text for each in found).split()) == "".join(text.split())


@given(st.text(alphabet="ab .\n", max_size=400))
def test_a_passage_begins_on_the_line_that_it_names(text: str) -> None:
    lines = text.split("\n")
    for each in cuts(text, limit=10):
        assert each.start.line is not None
        assert each.text.split("\n")[0] in lines[each.start.line - 1]


def test_short_texts_stay_whole() -> None:
    text = "First paragraph, one line.\n\nSecond paragraph.\nIt has two lines.\n\n\nThird paragraph."
    assert [each.text for each in cuts(text)] == [text.replace("\n\n\n", "\n\n")]


def test_cuts_are_at_paragraphs_then_at_sentences() -> None:
    text = prose(1, 30, sentences=3)
    starts = {paragraph[:20] for paragraph in text.split("\n\n")}
    assert all(each.text[:20] in starts for each in cuts(text))
    flat = text.replace("\n\n", " ")
    assert all(each.text.endswith(".") for each in cuts(flat))


def test_sections_are_kept_together() -> None:
    sections = [f"## Part {number}\n\n{prose(number, 1)}\n\n" for number in range(12)]
    found = list(cut(markup.markdown(io.StringIO("# Book\n\n" + "".join(sections))), words, limit=LIMIT))
    assert all(each.text.startswith(("#", "# Book")) for each in found)
    assert found[3].start.headings == ("Book", "Part 3")


@pytest.mark.parametrize("inserted", ["An inserted paragraph.\n\n", "x\n", prose(77, 3) + "\n\n"])
@pytest.mark.parametrize("flat", [False, True])
def test_an_insertion_moves_its_neighbours_and_nothing_else(inserted: str, flat: bool) -> None:
    """One or two of some sixty passages; in text without paragraphs, now and then, a few more until cuts meet again."""
    counts = []
    for seed in range(20):
        text = prose(seed, 60)
        text = text.replace("\n\n", " ") if flat else text
        before = {each.text for each in cuts(text)}
        for place in (0, len(text) // 2):
            place = text.find(" ", place) + 1 if place else 0
            after = [each.text for each in cuts(text[:place] + inserted + text[place:])]
            counts.append(sum(each not in before for each in after))
    own = words([inserted])[0] // (LIMIT // 4)
    assert max(counts) <= (12 if flat else 3) + own
    assert sum(counts) / len(counts) <= 3 + own


def test_text_without_any_blank_is_cut_by_its_content() -> None:
    random.seed(3)
    text = "".join(random.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(50_000))
    count = lambda texts: [len(text) // 4 + 1 for text in texts]  # noqa: E731
    found = [each.text for each in cut(plain.read(io.StringIO(text)), count, limit=LIMIT)]
    assert "".join(found) == text
    moved = [each.text for each in cut(plain.read(io.StringIO("123456789" + text)), count, limit=LIMIT)]
    # Lines are held 8,192 characters at a time; the first of these may be cut elsewhere.
    assert len(set(moved) - set(found)) < 60


def test_overlap_repeats_whole_sentences_but_not_over_headings() -> None:
    text = prose(5, 1, sentences=40)
    found = [each.text for each in cuts(text, overlap=0.3)]
    shared = [after.split(".")[0] in before for before, after in pairwise(found)]
    assert sum(shared) > len(shared) / 2
    assert all(words([each])[0] <= LIMIT for each in found)
    sections = "".join(f"# Part {number}\n\n{prose(number, 1, sentences=5)}\n\n" for number in range(12))
    for each in cut(markup.markdown(io.StringIO(sections)), words, limit=LIMIT, overlap=0.3):
        assert each.text.startswith("# Part")


def lines(count: int) -> Iterator[Block]:
    for number in range(count):
        yield Block(f"Line {number} says that the train to Köln → leaves at {number % 24} o'clock.\n", line=number + 1)


def test_time_is_linear_and_memory_is_that_of_a_passage() -> None:
    def measured(count: int) -> tuple[float, int]:
        tracemalloc.start()
        start = time.process_time()
        for each in cut(lines(count), words, limit=LIMIT):
            assert each.text
        seconds = time.process_time() - start
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return seconds, peak

    (short, small), (long, large) = measured(2_000), measured(20_000)
    assert long < 20 * short
    assert large < 1.5 * small + 100_000


@pytest.mark.parametrize(
    "text", ["the same line\n" * 5000, "a" * 50_000, "\n" * 50_000, "\x07\n" * 9000, "天" * 20_000]
)
def test_texts_without_a_best_boundary_are_cut_all_the_same(text: str) -> None:
    def count(texts: Sequence[str]) -> list[int]:
        return [max(each, len(text) // 5) for each, text in zip(words(texts), texts, strict=True)]

    found = [each.text for each in cut(plain.read(io.StringIO(text)), count, limit=LIMIT)]
    assert "".join("".join(found).split()) == "".join(text.split())
    assert all(count([each])[0] <= LIMIT for each in found)


CHINESE = "北行的列车七点出发黑麦面包需要时间今天天气很好我们去公园散步" * 60 + "最后一句话独一无二"


@pytest.mark.parametrize("name", ["bert-pylate", "xlm-roberta"])
@pytest.mark.parametrize(
    "text",
    [
        CHINESE,
        "0123456789 " * 900,
        "aGVsbG8gd29ybGQ+" * 500,
        "https://example.org/a?b=c&d=e " * 200,
        "if (x[i] != y) {\n" * 400,
    ],
)
def test_the_encoder_reads_every_passage_whole(bundle: object, name: str, text: str) -> None:
    from latelite.sources.passage import Measure, passages_of

    model = ColBERT(bundle(name), threads=1)  # type: ignore[operator]
    measure = Measure(model.counts, model.document_room)
    found = [passage for passage, _ in passages_of(plain.read(io.StringIO(text)), "a.txt", measure)]
    assert len({passage.id for passage in found}) == len(found) > 0
    assert "".join("".join(each.text for each in found).split()) == "".join(text.split())
    settings = model.manifest.settings
    for passage in found:
        tokens = model._tokenization.document(passage.text)
        assert len(tokens.ids) <= settings.document_length
        assert model.counts([passage.text])[0] <= model.document_room
    assert len(found) > 1
