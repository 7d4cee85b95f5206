"""Training on tiny encoders: what a step draws, what it learns, and that a killed run ends as an unbroken one."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from recipe import heldout, losses, student, training
from recipe.batches import Mix, Sampler
from recipe.encoder import PREFIXES
from recipe.examples import Document, write_documents
from recipe.student import Student, read_checkpoint
from recipe.switching import Switcher
from recipe.training import Phase, train
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel

WORDS = [f"{a}{b}" for a in "abcde" for b in "pqrst"]
SUBWORDS = ["<s>", *PREFIXES, "</s>", "passage:", "query:", ",", *WORDS, *(word[::-1] for word in WORDS)]
PHASE = Phase(
    name="tiny",
    mix=Mix(
        general={"news": 1.0}, software={"help": 1.0}, parallel={"tales.parallel": 1.0},
        kinds={"general": 1.0, "software": 0.5, "parallel": 0.5}, siblings=2, long=0.2,
    ),
    weights=losses.Weights(ranking=1.0, pairs=0.3, tokens=3.0),
    steps=12,
    rate=1e-3,
    warmup=2,
    decay=4,
    batch=8,
    longest=10,
    measure=6,
)  # fmt: skip
SWITCHER = Switcher({f"{a}-{b}": {word: [word[::-1]] for word in WORDS} for a, b in (("de", "en"), ("en", "de"))})


def documents() -> list[Document]:
    """Texts of known words: two sources with queries, one of translations, and pages that are held out."""
    draw = np.random.default_rng(1)

    def text(words: int) -> str:
        return " ".join(draw.choice(WORDS, words))

    found = []
    for source in ("news", "help"):
        for language in ("de", "en"):
            found += [
                Document(source, f"{n // 4}#{n}", language, text(9), (text(3),), (), n >= 20) for n in range(24 + 20)
            ]
    for n in range(24):
        german, english = text(6), text(6)
        found.append(Document("tales.parallel", str(n), "de", german, (), (("en", english, german),), False))
        found.append(Document("tales.parallel", str(n), "en", english, (), (("de", german, english),), False))
    return found


@pytest.fixture(autouse=True)
def two_languages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recipe.batches.LANGUAGES", ("de", "en"))


def encoder(folder: Path, hidden: int, layers: int, seed: int) -> None:
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(SUBWORDS), hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=64,
    )  # fmt: skip
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({subword: n for n, subword in enumerate(SUBWORDS)}, unk_token=","))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", SUBWORDS.index("</s>"))]
    )
    tokenizer.save(str(folder / "tokenizer.json"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A teacher of two layers."""
    encoder(tmp_path / "teacher", 24, 2, seed=1)
    return tmp_path / "teacher"


@pytest.fixture
def start(tmp_path: Path) -> Path:
    """A student of one layer."""
    folder = tmp_path / "student"
    encoder(folder, 16, 1, seed=0)
    draw = np.random.default_rng(0)

    def save(path: Path, prefix: str, inputs: int) -> None:
        tensors = {f"{prefix}weight": draw.normal(size=(8, inputs)), f"{prefix}bias": draw.normal(size=8)}
        save_file({name: value.astype(np.float32) for name, value in tensors.items()}, path)

    save(folder / "dense.safetensors", "linear.", 16)
    save(folder / student.PROJECTION, "", 24)
    return folder


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    folder = tmp_path / "examples"
    folder.mkdir()
    write_documents(documents(), folder)
    return folder


@pytest.fixture
def translations(tmp_path: Path) -> Path:
    folder = tmp_path / "translations"
    folder.mkdir()
    (folder / "translations.json").write_text(json.dumps(SWITCHER.tables))
    return folder


def sampler(**changes: object) -> Sampler:
    return Sampler(documents(), replace(PHASE.mix, **changes), 8, 10, 0, SWITCHER)  # type: ignore[arg-type]


def test_a_batch_has_one_source_and_language_and_follows_from_its_step() -> None:
    known = {one.text: (one.source, one.language) for one in documents()}
    one, other = sampler(long=0.0), sampler(long=0.0)
    seen = set()
    for step in range(40):
        batch = one.batch(step)
        assert batch == other.batch(step)
        assert {known[text] for text in batch.documents} == {(batch.source, batch.language)}
        assert len(batch.documents) == len(batch.queries) <= 8
        seen.add(batch.source)
    assert seen == {"news", "help", "tales.parallel"}


def test_held_out_pages_are_never_drawn() -> None:
    held_out = {one.text for one in documents() if one.held_out}
    drawing = sampler()
    assert not any(
        hidden in text for step in range(40) for text in drawing.batch(step).documents for hidden in held_out
    )


def test_translations_are_asked_for_in_the_other_language_and_the_teacher_is_not_needed() -> None:
    pairs = {(one.text, one.foreign[0][1]) for one in documents() if one.foreign}
    drawing = sampler(kinds={"parallel": 1.0})
    for step in range(10):
        batch = drawing.batch(step)
        assert batch.asked is None
        assert set(zip(batch.documents, batch.queries, strict=True)) <= pairs


def test_the_teacher_reads_the_query_without_replaced_words() -> None:
    drawing = sampler(kinds={"general": 1.0}, switched=1.0)
    changed = 0
    for step in range(10):
        batch = drawing.batch(step)
        assert batch.asked is not None
        for query, asked in zip(batch.queries, batch.asked, strict=True):
            pairs = [
                (one.strip("?:"), other.strip("?:")) for one, other in zip(query.split(), asked.split(), strict=True)
            ]
            assert all(word in (original, original[::-1]) for word, original in pairs)
            changed += query != asked
    assert changed


def test_siblings_stand_together_and_long_documents_are_made_of_them() -> None:
    family = {one.text: (one.language, one.source, n // 2) for n, one in enumerate(documents())}
    for batch in (sampler(kinds={"general": 1.0}, long=0.0).batch(step) for step in range(10)):
        found = [family[text] for text in batch.documents]
        assert found[::2] == found[1::2]
    for batch in (sampler(kinds={"general": 1.0}, long=1.0).batch(step) for step in range(10)):
        assert batch.longest == 512
        assert all(len(text.split()) == 18 for text in batch.documents)


def test_a_killed_run_ends_with_the_log_and_the_weights_of_an_unbroken_one(
    start: Path, source: Path, examples: Path, translations: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "REPORT", 2)
    monkeypatch.setattr(training, "SAVE_SECONDS", -1)
    folders = tmp_path / "unbroken", tmp_path / "killed"
    for folder in folders:
        folder.mkdir()
    train(PHASE, start, source, examples, translations, folders[0])

    terms = training.terms
    calls = iter(range(100))

    def killed(*arguments: object) -> tuple[dict[str, torch.Tensor], int]:
        if next(calls) == 7:
            raise KeyboardInterrupt
        return terms(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "terms", killed)
    with pytest.raises(KeyboardInterrupt):
        train(PHASE, start, source, examples, translations, folders[1])
    monkeypatch.setattr(training, "terms", terms)
    train(PHASE, start, source, examples, translations, folders[1])
    logs = [json.loads((folder / "log.json").read_text()) | {"seconds": 0} for folder in folders]
    assert logs[0] == logs[1]
    assert [row["step"] for row in logs[0]["steps"]] == [2, 4, 6, 8, 10, 12]
    assert [row["step"] for row in logs[0]["held_out"]] == [0, 6, 12]
    assert (folders[0] / "model.safetensors").read_bytes() == (folders[1] / "model.safetensors").read_bytes()
    assert not (folders[1] / "state.pt").exists()


def test_training_brings_the_student_closer_to_the_teacher(
    start: Path, source: Path, examples: Path, translations: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "REPORT", 20)
    phase = replace(PHASE, steps=120, rate=3e-3, decay=10, measure=0)
    train(phase, start, source, examples, translations, tmp_path)
    steps = json.loads((tmp_path / "log.json").read_text())["steps"]
    assert steps[-1]["tokens"] < 0.8 * steps[0]["tokens"]
    assert steps[-1]["translations"] < 0.9 * steps[0]["translations"]


def test_weights_are_written_as_their_moving_average(
    start: Path, source: Path, examples: Path, translations: Path, tmp_path: Path
) -> None:
    written = []
    for average in (0.0, 1.0):
        folder = tmp_path / str(average)
        folder.mkdir()
        train(replace(PHASE, average=average, measure=0), start, source, examples, translations, folder)
        written.append(load_file(folder / "dense.safetensors")["linear.weight"])
    first = load_file(start / "dense.safetensors")["linear.weight"]
    assert np.abs(written[1] - first).max() < np.abs(written[0] - first).max()


def test_each_token_has_the_teachers_vector_of_the_token_that_covers_it(start: Path) -> None:
    projection = training.Projection(start, torch.device("cpu"))
    teacher = torch.nn.functional.normalize(torch.randn(1, 5, 24, generator=torch.Generator().manual_seed(0)), dim=-1)
    ours, theirs = [(0, 0), (0, 0), (0, 2), (2, 4), (5, 7), (0, 0)], [(0, 0), (0, 0), (0, 4), (5, 7), (0, 0)]
    target, mask = training._target(projection, teacher, [ours], [theirs])
    assert mask[0].tolist() == [False, False, True, True, True, False]
    expected = projection(teacher)[0, [2, 2, 3]]
    assert torch.equal(target[0, 2:5], expected)


def test_the_rate_rises_stays_and_falls() -> None:
    rates = [PHASE.rate_at(step) for step in range(PHASE.steps)]
    assert rates[0] == pytest.approx(PHASE.rate / 2)
    assert rates[1:9] == [PHASE.rate] * 8
    assert rates[9:] == pytest.approx([PHASE.rate * share for share in (0.75, 0.5, 0.25)])


def test_punctuation_takes_no_part_in_a_documents_scores(start: Path) -> None:
    made = Student(start)
    for role, expected in (("document", False), ("query", True)):
        rows, _ = made.ids(role, ["ap , bq"], 10)
        assert [SUBWORDS[number] for number in rows[0]][2:5] == ["ap", ",", "bq"]
        _, mask = made.encode(role, rows)
        assert mask[0].tolist() == [True, True, True, expected, True, True]


def test_a_long_text_is_cut_and_keeps_its_end_mark(start: Path) -> None:
    made = Student(start)
    rows, places = made.ids("document", ["ap bq cr ds et"], 6)
    assert [SUBWORDS[number] for number in rows[0]] == ["<s>", "[D] ", "ap", "bq", "cr", "</s>"]
    assert places[0] == [(0, 0), (0, 0), (0, 2), (3, 5), (6, 8), (0, 0)]


def test_a_published_checkpoint_is_a_student_to_go_on_from(start: Path, tmp_path: Path) -> None:
    checkpoint, folder = tmp_path / "checkpoint", tmp_path / "again"
    (checkpoint / "1_Dense").mkdir(parents=True)
    folder.mkdir()
    for name in ("config.json", "tokenizer.json"):
        (checkpoint / name).write_bytes((start / name).read_bytes())
    for place, name in ((checkpoint, "model"), (checkpoint / "1_Dense", "dense")):
        halved = {key: value.astype(np.float16) for key, value in load_file(start / f"{name}.safetensors").items()}
        save_file(halved, place / "model.safetensors")
    read_checkpoint(checkpoint, folder)
    rows = [[0, 1, 8, 9, 3]]
    expected, found = (Student(place).encode("document", rows)[0] for place in (start, folder))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=5e-3, rtol=0)


def test_gain_counts_ties_against_the_document() -> None:
    scores = np.array([[3.0, 2.0, 1.0], [1.0, 1.0, 1.0]], np.float32)
    assert heldout.gain(scores, [0, 0]) == pytest.approx((1 + 1 / np.log2(4)) / 2)


def test_held_out_pages_make_a_task_for_each_source_and_language() -> None:
    tasks = heldout.build_tasks(documents())
    assert [task.name for task in tasks] == ["help-de", "help-en", "news-de", "news-en"]
    assert all(len(task.documents) == len(task.own) >= heldout.FEWEST for task in tasks)
    assert not any(task.foreign for task in tasks)
