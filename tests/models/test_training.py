"""Training on a tiny encoder: what a step draws, what it learns, and that a killed run ends as an unbroken one."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from recipe import heldout, losses, training
from recipe.batches import Cache, Mix, Sampler
from recipe.pins import LANGUAGES
from recipe.switching import Lexicon, Switcher
from recipe.teacher import DIM, Ragged
from recipe.training import Phase, Student, train
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel

DOCUMENTS = 24
WORDS = [f"{a}{b}" for a in "abcde" for b in "pqrst"]
PIECES = ["<s>", "[D] ", "</s>", ",", *WORDS, *(word[::-1] for word in WORDS)]
PHASE = Phase(
    name="tiny",
    mix=Mix({"office": 1.0, "mixtures": 0.5}, {"de": 1.0, "en": 1.0}),
    weights=losses.Weights(ranking=1.0, pairs=0.3, tokens=3.0),
    steps=12,
    rate=1e-3,
    warmup=2,
    decay=4,
    batch=8,
    longest=10,
    measure=6,
)


def token_ids() -> list[list[int]]:
    """Texts of known words between the special tokens."""
    draw = np.random.default_rng(1)
    return [[0, 1, *draw.integers(4, 4 + len(WORDS), draw.integers(3, 12)).tolist(), 2] for _ in range(2 * DOCUMENTS)]


@pytest.fixture
def start(tmp_path: Path) -> Path:
    """A student of one layer."""
    folder = tmp_path / "student"
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(PIECES), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=32,
    )  # fmt: skip
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({piece: n for n, piece in enumerate(PIECES)}, unk_token=","))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    draw = np.random.default_rng(0)
    dense = {"linear.weight": draw.normal(size=(8, 16)), "linear.bias": draw.normal(size=8)}
    save_file({name: value.astype(np.float32) for name, value in dense.items()}, folder / "dense.safetensors")
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Teacher vectors that follow from the ids, so that there is something to learn."""
    folder = tmp_path / "teacher"
    folder.mkdir()
    draw = np.random.default_rng(1)
    space = draw.normal(size=(len(PIECES), DIM))
    rows = token_ids()
    ids = Ragged.of(rows, np.int32)
    for name in ("student", "teacher"):
        ids.save(folder, name)
    Ragged.of([range(len(row)) for row in rows], np.int16).save(folder, "match")
    vectors = space[ids.flat]
    np.save(folder / "vectors.npy", (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16))
    axes = {"weight": draw.normal(size=(8, DIM)), "bias": np.zeros(8)}
    save_file({name: value.astype(np.float32) for name, value in axes.items()}, folder / "axes.safetensors")
    return folder


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """Texts 0.. are documents, the others their queries; every third belongs to no query."""
    folder = tmp_path / "examples"
    folder.mkdir()
    rows = [
        {
            "text": n,
            "source": "mixtures" if n % 3 == 2 else "office",
            "language": "de" if n % 2 else "en",
            "held_out": n in (0, 1),
            "queries": [] if n % 3 == 2 else [["de", DOCUMENTS + n], ["en", DOCUMENTS + n]],
        }
        for n in range(DOCUMENTS)
    ]
    (folder / "documents.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = [" ".join(PIECES[number] for number in ids[2:-1]) for ids in token_ids()]
    texts = [{"role": "document" if n < DOCUMENTS else "query", "text": text} for n, text in enumerate(words)]
    (folder / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in texts))
    return folder


@pytest.fixture
def lexicon(tmp_path: Path) -> Path:
    """Every word stands for the one that spells it backwards, to and from English."""
    folder = tmp_path / "lexicon"
    folder.mkdir()
    turned = {word: [word[::-1]] for word in WORDS}
    tables = {f"{a}-{b}": turned for other in LANGUAGES if other != "en" for a, b in (("en", other), (other, "en"))}
    (folder / "lexicon.json").write_text(json.dumps(tables))
    return folder


@pytest.fixture
def switcher(start: Path, lexicon: Path) -> Switcher:
    return Switcher(Tokenizer.from_file(str(start / "tokenizer.json")), Lexicon(lexicon))


def test_a_step_draws_the_same_batch_again_and_never_a_held_out_page(
    cache: Path, examples: Path, switcher: Switcher
) -> None:
    known = Cache(cache)
    one, other = (Sampler(known, examples, PHASE.mix, 4, 10, 0, switcher) for _ in range(2))
    held_out = {tuple(known.student.row(n)) for n in (0, 1)}
    sources = set()
    for step in range(40):
        first, second = one.batch(step), other.batch(step)
        assert torch.equal(first.documents.ids, second.documents.ids)
        assert first.source == second.source
        assert (first.queries is None) == (first.source == "mixtures")
        rows = {tuple(row[keep].tolist()) for row, keep in zip(first.documents.ids, first.documents.mask, strict=True)}
        assert not rows & held_out
        sources.add(first.source)
    assert sources == {"office", "mixtures"}


def test_a_mix_with_switched_words_draws_the_same_texts_with_translations(
    cache: Path, examples: Path, switcher: Switcher
) -> None:
    known = Cache(cache)
    mixed = replace(PHASE.mix, switched_queries=1.0, switched_documents=1.0)
    plain, switched, again = (Sampler(known, examples, mix, 4, 10, 0, switcher) for mix in (PHASE.mix, mixed, mixed))
    changed = 0
    for step in range(20):
        before, after, twice = plain.batch(step), switched.batch(step), again.batch(step)
        assert torch.equal(after.documents.ids, twice.documents.ids)
        assert torch.equal(before.documents.teacher, after.documents.teacher)
        replaced = before.documents.ids != after.documents.ids
        pairs = zip(before.documents.ids[replaced], after.documents.ids[replaced], strict=True)
        spelled = [(PIECES[a], PIECES[b]) for a, b in pairs]
        assert all(one == other[::-1] for one, other in spelled)
        assert torch.equal(before.documents.match, after.documents.match)
        changed += len(spelled)
    assert changed


def test_anchored_texts_are_those_whose_original_is_english(cache: Path, examples: Path, switcher: Switcher) -> None:
    known = Cache(cache)
    mixed = replace(PHASE.mix, anchored=True, switched_queries=1.0)
    anchored, plain = (Sampler(known, examples, mix, 4, 10, 0, switcher) for mix in (mixed, PHASE.mix))
    seen = set()
    for step in range(40):
        batch = anchored.batch(step)
        assert plain.batch(step).documents.anchored.all()
        assert (batch.documents.anchored == (batch.language == "en")).all()
        if batch.queries:
            seen |= set(batch.queries.anchored.tolist())
            counted = training.anchors(batch.queries).sum(dim=1)
            assert torch.equal(counted, batch.queries.mask.sum(dim=1) * batch.queries.anchored)
    assert seen == {True, False}


def test_siblings_are_drawn_together(cache: Path, examples: Path) -> None:
    known = Cache(cache)
    sampler = Sampler(known, examples, replace(PHASE.mix, siblings=2), 4, 100, 0, None)
    families = {}
    for pool in sampler.pools.values():
        families |= {document.text: place // 2 for place, document in enumerate(pool)}
    texts = {tuple(known.student.row(text)): text for text in families}
    drawn = set()
    for step in range(40):
        side = sampler.batch(step).documents
        found = [texts[tuple(row[keep].tolist())] for row, keep in zip(side.ids, side.mask, strict=True)]
        drawn |= set(found)
        counts = np.bincount([families[text] for text in found])
        assert len(found) <= 4
        assert set(counts[counts > 0]) <= {1, 2}
        assert (counts == 2).sum() >= (counts == 1).sum()
    assert len(drawn) > DOCUMENTS / 2


def test_texts_may_be_in_other_pieces_than_the_teacher_stages(cache: Path, examples: Path, tmp_path: Path) -> None:
    spelled = tmp_path / "spelled"
    spelled.mkdir()
    rows = [[0, 1, 4, 5, 2] for _ in token_ids()]
    for name, row in (("student", [0, 1, 4, 5, 2]), ("match", [0, 1, 2, 2, 3])):
        Ragged.of([row for _ in rows], np.int32).save(spelled, name)
    side = Cache(cache, spelled).side([0, 1], 10)
    assert side.ids.tolist() == rows[:2]
    assert side.match.tolist() == [[0, 1, 2, 2, 3]] * 2
    assert torch.equal(side.teacher, Cache(cache).side([0, 1], 100).teacher)


def test_a_cut_text_keeps_its_end_mark_and_its_matches(cache: Path) -> None:
    known = Cache(cache)
    longest = int(known.student.lengths.argmax())
    side = known.side([longest], 6)
    row = known.student.row(longest)
    assert side.ids[0].tolist() == [*row[:5], row[-1]]
    whole = known.side([longest], 100)
    kept = [*range(5), len(row) - 1]
    assert torch.equal(side.teacher[0][side.match[0]], whole.teacher[0][whole.match[0][kept]])


def test_a_killed_run_ends_with_the_log_and_the_weights_of_an_unbroken_one(
    start: Path, cache: Path, examples: Path, lexicon: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "REPORT", 2)
    monkeypatch.setattr(training, "SAVE_SECONDS", -1)
    folders = tmp_path / "unbroken", tmp_path / "killed"
    for folder in folders:
        folder.mkdir()
    train(PHASE, start, cache, examples, Lexicon(lexicon), folders[0])

    terms = training.terms
    calls = iter(range(100))

    def killed(*arguments: object) -> dict[str, torch.Tensor]:
        if next(calls) == 7:
            raise KeyboardInterrupt
        return terms(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "terms", killed)
    with pytest.raises(KeyboardInterrupt):
        train(PHASE, start, cache, examples, Lexicon(lexicon), folders[1])
    monkeypatch.setattr(training, "terms", terms)
    train(PHASE, start, cache, examples, Lexicon(lexicon), folders[1])
    logs = [json.loads((folder / "log.json").read_text()) | {"seconds": 0} for folder in folders]
    assert logs[0] == logs[1]
    assert [row["step"] for row in logs[0]["steps"]] == [2, 4, 6, 8, 10, 12]
    assert (folders[0] / "model.safetensors").read_bytes() == (folders[1] / "model.safetensors").read_bytes()
    assert not (folders[1] / "state.pt").exists()


def test_training_brings_the_student_closer_to_the_teacher(
    start: Path, cache: Path, examples: Path, lexicon: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "REPORT", 10)
    train(replace(PHASE, steps=60, rate=3e-3, decay=10), start, cache, examples, Lexicon(lexicon), tmp_path)
    steps = json.loads((tmp_path / "log.json").read_text())["steps"]
    assert steps[-1]["ranking"] < 0.8 * steps[0]["ranking"]


def test_the_rate_rises_stays_and_falls() -> None:
    rates = [PHASE.rate_at(step) for step in range(PHASE.steps)]
    assert rates[0] == pytest.approx(PHASE.rate / 2)
    assert rates[1:9] == [PHASE.rate] * 8
    assert rates[9:] == pytest.approx([PHASE.rate * share for share in (0.75, 0.5, 0.25)])


def test_punctuation_takes_no_part_in_a_documents_scores(start: Path, cache: Path) -> None:
    student = Student(start)
    side = Cache(cache).side([0], 10)
    side.ids[0, 2] = PIECES.index(",")
    for role, expected in (("document", False), ("query", True)):
        _, mask = student.encode(side, role)
        assert mask[0].tolist() == [True, True, expected, *side.mask[0, 3:].tolist()]


def test_gain_counts_ties_against_the_document() -> None:
    scores = np.array([[3.0, 2.0, 1.0], [1.0, 1.0, 1.0]], np.float32)
    assert heldout.gain(scores, [0, 0]) == pytest.approx((1 + 1 / np.log2(4)) / 2)
