"""The encoder: PyLate's semantics for any input, and always the same bytes."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latelite import session
from latelite.errors import BundleCorruptError, BundleError, BundleNotFoundError, BundleVersionError
from latelite.manifest import Precision
from latelite.models import ColBERT

TEXTS = [
    "Wie lege ich eine temporäre Datei an?",
    "",
    "   \t\n",
    "x",
    "?!...",
    "Emoji 🙂 👩‍👩‍👧 and 中文",
    "The quick brown fox. " * 40,
]


def same_bytes(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return [(x.shape, x.tobytes()) for x in a] == [(y.shape, y.tobytes()) for y in b]


@pytest.mark.parametrize("precision", ["int8", "fp32"])
@pytest.mark.parametrize("is_query", [True, False])
def test_a_text_gives_the_same_bytes_whatever_it_is_batched_with(
    bundle: Callable[[str], Path], precision: Precision, is_query: bool
) -> None:
    one = ColBERT(bundle("bert-pylate"), precision=precision, threads=1)
    two = ColBERT(bundle("bert-pylate"), precision=precision, threads=2)
    alone = [one.encode(text, is_query=is_query) for text in TEXTS]
    assert same_bytes(alone, one.encode(TEXTS, is_query=is_query))
    assert same_bytes(alone, two.encode(TEXTS, is_query=is_query, batch_size=2))
    assert same_bytes(alone[::-1], two.encode(TEXTS[::-1], is_query=is_query))
    assert same_bytes(alone * 3, two.encode(TEXTS * 3, is_query=is_query))


def test_vectors_are_unit_float32(model: ColBERT) -> None:
    for vectors in model.encode(TEXTS, is_query=False):
        assert vectors.dtype == np.float32
        assert vectors.shape == (len(vectors), model.dim)
        assert len(vectors) >= 1
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_shapes_follow_the_input(model: ColBERT) -> None:
    assert model.encode([]) == []
    assert model.encode("one").ndim == 2
    flat = model.encode(["one", "two"], is_query=False)
    nested = model.encode([["one", "two"], ["two"], []], is_query=False)
    assert [len(group) for group in nested] == [2, 1, 0]
    assert same_bytes(nested[0], flat)
    assert same_bytes(nested[1], flat[1:])


def test_white_space_around_a_text_does_not_count(model: ColBERT) -> None:
    assert same_bytes([model.encode("a b")], [model.encode("\n a b\t ")])


def test_100_000_characters_are_cut_to_the_document_length(model: ColBERT) -> None:
    vectors = model.encode("word " * 20_000, is_query=False)
    assert len(vectors) == model.manifest.settings.document_length
    assert len(model.encode("word " * 20_000)) == model.manifest.settings.query_length


def test_surrogates_are_joined_or_replaced(model: ColBERT) -> None:
    assert same_bytes([model.encode("a \ud83d\ude42")], [model.encode("a 🙂")])
    assert same_bytes([model.encode("a \ud83d b")], [model.encode("a \ufffd b")])


@pytest.mark.parametrize("text", [None, 7, b"bytes", ["a", None]])
def test_what_is_not_text_is_refused(model: ColBERT, text: Any) -> None:
    with pytest.raises(TypeError, match="must be str"):
        model.encode(text if isinstance(text, list) else [text])


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"pool_factor": 0}, {"protected_tokens": -1}])
def test_senseless_options_are_refused(model: ColBERT, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least"):
        model.encode(["a"], is_query=False, **options)


def test_constructor_refuses_unknown_precision_and_no_threads(bundle: Callable[[str], Path]) -> None:
    with pytest.raises(ValueError, match="precision"):
        ColBERT(bundle("bert-pylate"), precision="int4")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="threads"):
        ColBERT(bundle("bert-pylate"), threads=0)


def test_pooling_halves_documents_and_leaves_queries_alone(model: ColBERT) -> None:
    text = "several words that are not the same at all and make a sentence"
    full = model.encode(text, is_query=False)
    pooled = model.encode(text, is_query=False, pool_factor=2)
    assert len(pooled) == 1 + (len(full) - 1) // 2
    assert same_bytes([pooled[:1]], [full[:1]])
    assert same_bytes([model.encode(text, pool_factor=2)], [model.encode(text)])


def test_similarity_is_maxsim_of_every_pair(model: ColBERT) -> None:
    queries = model.encode(["red house", "blue"])
    documents = model.encode(["a red house", "the sky is blue today", "x"], is_query=False)
    scores = model.similarity(queries, documents)
    naive = [[sum(max(float(q @ d) for d in document) for q in query) for document in documents] for query in queries]
    np.testing.assert_allclose(scores, naive, atol=1e-4)
    np.testing.assert_allclose(model.similarity(queries[0], documents[1]), scores[:1, 1:2], atol=1e-6)


def test_prompts(bundle: Callable[[str], Path]) -> None:
    model = ColBERT(bundle("bert-prompts"))
    prompts = model.manifest.settings.prompts
    name, prompt = next(iter(prompts.items()))
    named = model.encode("text", prompt_name=name)
    assert same_bytes([named], [model.encode("text", prompt=prompt)])
    assert same_bytes([named], [model.encode(prompt + "text", prompt="")])
    assert not same_bytes([named], [model.encode("text", prompt="")])
    with pytest.raises(ValueError, match="nothing"):
        model.encode("text", prompt_name="nothing")


def test_giving_memory_back_after_long_texts_changes_no_byte(model: ColBERT, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = model.encode(TEXTS, is_query=False)
    monkeypatch.setattr(session, "_LONG", 8)
    assert same_bytes(expected, model.encode(TEXTS, is_query=False))


def test_threads_may_share_a_model(model: ColBERT) -> None:
    expected = model.encode(TEXTS)
    results: list[list[np.ndarray]] = []
    workers = [threading.Thread(target=lambda: results.append(model.encode(TEXTS))) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(results) == 4
    assert all(same_bytes(expected, result) for result in results)


class TestBundles:
    """An incomplete bundle is refused, and the file is named."""

    @pytest.fixture
    def copy(self, bundle: Callable[[str], Path], tmp_path: Path) -> Path:
        shutil.copytree(bundle("bert-pylate"), tmp_path / "bundle")
        return tmp_path / "bundle"

    def test_no_folder(self, tmp_path: Path) -> None:
        with pytest.raises(BundleNotFoundError, match="latelite-export"):
            ColBERT(tmp_path / "nowhere")

    @pytest.mark.parametrize("name", ["model_int8.onnx", "tokenizer.json"])
    def test_missing_file(self, copy: Path, name: str) -> None:
        (copy / name).unlink()
        with pytest.raises(BundleNotFoundError, match=name):
            ColBERT(copy, precision="int8")

    @pytest.mark.parametrize("name", ["model_int8.onnx", "tokenizer.json"])
    def test_truncated_file(self, copy: Path, name: str) -> None:
        content = (copy / name).read_bytes()
        (copy / name).write_bytes(content[: len(content) // 2])
        with pytest.raises(BundleCorruptError, match=f"{name} has"):
            ColBERT(copy, precision="int8")

    @pytest.mark.parametrize("name", ["model_int8.onnx", "tokenizer.json"])
    def test_flipped_byte(self, copy: Path, name: str) -> None:
        content = bytearray((copy / name).read_bytes())
        content[len(content) // 2] ^= 1
        (copy / name).write_bytes(content)
        with pytest.raises(BundleCorruptError, match=f"{name} does not match"):
            ColBERT(copy, precision="int8")

    def test_manifest_that_is_cut(self, copy: Path) -> None:
        text = (copy / "manifest.json").read_text()
        (copy / "manifest.json").write_text(text[: len(text) // 2])
        with pytest.raises(BundleCorruptError, match=r"manifest\.json"):
            ColBERT(copy)

    @pytest.mark.parametrize(
        ("old", "new", "error"),
        [
            ('"format_version": 1', '"format_version": 2', BundleVersionError),
            ('"format": "latelite-bundle"', '"format": "other"', BundleCorruptError),
            ('"dim": 16', '"dim": 8', BundleCorruptError),
            ('"document_length": 180', '"document_length": 181', BundleCorruptError),
            ('"token_ids"', '"token_idz"', BundleCorruptError),
        ],
    )
    def test_manifest_that_was_altered(self, copy: Path, old: str, new: str, error: type[BundleError]) -> None:
        text = (copy / "manifest.json").read_text()
        assert old in text
        (copy / "manifest.json").write_text(text.replace(old, new))
        with pytest.raises(error, match=r"manifest\.json"):
            ColBERT(copy)

    def test_the_other_precision_is_not_needed(self, copy: Path) -> None:
        (copy / "model.onnx").unlink()
        assert len(ColBERT(copy, precision="int8").encode("x")) > 0
        with pytest.raises(BundleNotFoundError, match=r"model\.onnx"):
            ColBERT(copy, precision="fp32")


def test_lengths_can_be_asked_for(bundle: Callable[[str], Path]) -> None:
    text = "many words of a text " * 40
    usual = ColBERT(bundle("bert-pylate"))
    short = ColBERT(bundle("bert-pylate"), query_length=8, document_length=12, device="cpu")
    assert len(short.encode(text)) == 8
    assert len(short.encode(text, is_query=False)) <= 12 < len(usual.encode(text, is_query=False))
    assert short.manifest == usual.manifest
    expanded = ColBERT(bundle("bert-pylate"), query_length=16, do_query_expansion=True)
    assert len(expanded.encode("a word")) == 16
    with pytest.raises(ValueError, match="query_length must be between 4 and"):
        ColBERT(bundle("bert-pylate"), query_length=100_000)
    with pytest.raises(ValueError, match="dimension"):
        ColBERT(bundle("bert-pylate"), embedding_size=7)


def test_a_saved_model_is_the_model(bundle: Callable[[str], Path], tmp_path: Path) -> None:
    model = ColBERT(bundle("bert-pylate"))
    model.save_pretrained(tmp_path / "saved")
    model.save_pretrained(tmp_path / "saved")
    again = ColBERT(tmp_path / "saved")
    np.testing.assert_array_equal(again.encode("a word"), model.encode("a word"))
    again.save_pretrained(tmp_path / "saved")  # onto itself
    assert ColBERT(tmp_path / "saved").manifest == model.manifest


def test_parameters_without_meaning_change_nothing(model: ColBERT) -> None:
    plain = model.encode(["a word", "two words"])
    same = model.encode(
        ["a word", "two words"],
        batch_size=1,
        convert_to_numpy=False,
        convert_to_tensor=True,
        padding=True,
        device="cuda:0",
        normalize_embeddings=True,
        precision="float32",
    )
    for one, other in zip(plain, same, strict=True):
        np.testing.assert_array_equal(one, other)
    for wrong in ({"normalize_embeddings": False}, {"precision": "int8"}):
        with pytest.raises(ValueError, match="normalised float32"):
            model.encode("a word", **wrong)
