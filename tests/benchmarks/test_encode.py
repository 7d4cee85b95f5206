"""The encoder benchmark: what it times, and that what it compares computes the same."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import encode
import encoders
import engines
import graph_choices
import graph_variants
import onnx
import pytest
import tables
import timing

from latelite.session import session_options


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small, fast encoders and corpus."""
    for name, value in {"LAYERS": 2, "FFN": 96, "VOCABULARY": 600, "POSITIONS": 512}.items():
        monkeypatch.setattr(encoders, name, value)
    whole = encoders.mixed_texts
    monkeypatch.setattr(encoders, "mixed_texts", lambda data, **options: whole(data, **options, texts=3))
    monkeypatch.setattr(timing, "BLOCK", 0.002)


def test_calls_take_turns_and_the_first_of_a_turn_counts_apart() -> None:
    order: list[str] = []

    def short(name: str) -> None:
        order.append(name)
        time.sleep(0.015)

    times = timing.alternate({"a": lambda: short("a"), "b": lambda: short("b")}, seconds=0.01)
    changes = sum(first != second for first, second in pairwise(order))
    assert len(times["a"].fresh) == len(times["b"].fresh) == 3
    assert changes == 2 * 3 - 1
    for name, taken in times.items():
        assert len(taken.repeated) + len(taken.fresh) == order.count(name)
        assert len(taken.repeated) >= 3
        assert 10 < taken.summary()["min"] <= taken.summary()["p50"] <= taken.summary()["p90"]


def test_a_call_longer_than_a_turn_is_not_repeated() -> None:
    times = timing.alternate({"long": lambda: time.sleep(timing.BLOCK * 1.2)}, seconds=0.01)
    assert times["long"].repeated == times["long"].fresh
    assert times["long"].summary()["calls"] == 3


def test_ratios_say_how_many_times_longer_the_others_take() -> None:
    measured = {"torch": {"32": {"p50": 8.0}}, "fused int8": {"32": {"p50": 2.0}}}
    assert encode.ratios(measured) == {"torch": {"32": 4.0}}


def test_lengths_of_a_corpus_are_taken_from_its_words(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("".join(json.dumps({"title": "a b", "text": "c " * n}) + "\n" for n in (1, 98, 1000)))
    assert [ids.shape[1] for ids in encoders.mixed_texts(corpus)] == [7, 138, 300]
    assert [ids.shape[1] for ids in encoders.mixed_texts(corpus, longest=100)] == [7, 100, 100]
    assert all(ids.max() < 50 for ids in encoders.mixed_texts(corpus, vocabulary=50))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("kind", encoders.KINDS)
def test_every_engine_gives_the_same_vectors(kind: encoders.Kind, tmp_path: Path) -> None:
    files = encoders.write_plain(kind, tmp_path) | encoders.write_fused(kind, tmp_path)
    ids = encoders.random_text(40)
    compared = [engines.torch_engine(kind, attention, 1) for attention in ("sdpa", "eager")]
    compared += [engines.onnx_engine(name, path, 1) for name, path in files.items()]
    for threads in (1, 2):
        compared += encode._ours({name: path for name, path in files.items() if "fused" in name}, threads)
    exact = compared[0].call(ids)
    for engine in compared:
        cosine = (engine.call(ids) * exact).sum(-1).min()
        assert cosine > (0.97 if "int8" in engine.name else 1 - 1e-5), engine.name


@pytest.mark.usefixtures("small")
def test_the_whole_run(bundle: Callable[[str], Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "figures.json"
    arguments = ["--models", "bert", "--bundle", str(bundle("mpnet")), "--lengths", "8", "64", "--seconds", "0.01"]
    assert encode.main([*arguments, "--threads", "1", "2", "--json", str(target)]) == 0
    figures = json.loads(target.read_text())
    assert set(figures["results"]) == {"bert", "bundle"}
    one, two = (figures["results"]["bert"][f"{n} threads"] for n in (1, 2))
    assert list(one) == ["torch", "torch eager", "plain fp32", "plain int8", "fused fp32", "fused int8"]
    assert set(two) - set(one) == {"fused int8, threads share a text"}
    assert list(one["torch"]) == ["8", "64", "mixed"]
    assert one["torch"]["mixed"]["documents_per_second"] > 0
    assert list(figures["results"]["bundle"]["1 threads"]) == ["bundle fp32", "bundle int8"]
    for name, process in figures["results"]["bert"]["process"].items():
        assert process["load_ms"] > 0, name
        assert process["peak_mb"] >= process["resident_mb"], name
    # What tables and plots read.
    assert "latelite, int8" in tables.encoder(figures)["bert"]
    printed, errors = capfd.readouterr()
    assert "fused int8 against plain int8" in printed
    assert "pre-processing" not in printed + errors


@pytest.fixture
def exported(small: None, tmp_path: Path) -> onnx.ModelProto:
    """The int8 graph of a small BERT."""
    return onnx.load(encoders.write_fused("bert", tmp_path)["fused int8"])


def kinds(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


CHANGES: dict[str, Counter[str]] = {
    "q, k and v packed": Counter(Split=2, MatMulIntegerToFloat=-4),
    "q, k and v quantised apart": Counter(DynamicQuantizeMatMul=6, MatMulIntegerToFloat=-6, DynamicQuantizeLinear=-2),
    "quantising before every product": Counter(
        DynamicQuantizeMatMul=-7, MatMulIntegerToFloat=7, DynamicQuantizeLinear=7
    ),
    "unsigned weights": Counter(),
    "attention as products": Counter(MultiHeadAttention=-2, Reshape=8, Transpose=8, FusedMatMul=2, Softmax=2, MatMul=2),
    "attention as products up to 96 tokens": Counter(MultiHeadAttention=-2, If=2, Shape=1, Squeeze=1, LessOrEqual=1),
    "attention with a mask": Counter(Shape=1, Concat=1, Expand=1),
    "heads of 32": Counter(),
    "SkipLayerNormalization": Counter(Add=-5, LayerNormalization=-5, SkipLayerNormalization=5),
    "BiasGelu": Counter(Gelu=-2, BiasGelu=2),
    "fp32 embeddings": Counter(Gather=-1, Cast=-1, Mul=-1),
}
"""Operators that a variant has more or less, in two layers."""


def test_variants_undo_one_choice_and_compute_the_same(exported: onnx.ModelProto, tmp_path: Path) -> None:
    made = graph_variants.variants(exported)
    assert set(made) == set(CHANGES)
    files = {graph_choices.EXPORTED: tmp_path / "exported.onnx"}
    onnx.save(exported, files[graph_choices.EXPORTED])
    for number, (name, model) in enumerate(made.items()):
        found = kinds(model)
        found.subtract(kinds(exported))
        assert {k: n for k, n in found.items() if n} == dict(CHANGES[name]), name
        files[name] = tmp_path / f"{number}.onnx"
        onnx.save(model, files[name])
    engine = partial(engines.onnx_engine, options=session_options())  # as the device runs it: nothing overflows
    calls = {name: engine(name, path, 1).call for name, path in files.items()}
    for length in (5, 96, 97):
        ids = encoders.random_text(length)
        exact = calls[graph_choices.EXPORTED](ids)
        for name, call in calls.items():
            assert (call(ids) * exact).sum(-1).min() > 0.998, (name, length)
