"""The int8 plan is chosen on one half of the texts and judged on the other, with the device's arithmetic."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from latelite import session
from latelite_export import comparison, export, pipeline, quantize, repair, texts, verify
from latelite_export.cli import main
from latelite_export.reference import Sample

Folder = Callable[[str], Path]
PEER = Path(__file__).resolve().parents[2] / ".venv-peers" / "pylate" / "bin" / "python"


def test_the_halves_share_no_text_and_leave_none_out() -> None:
    for collection in texts.collections():
        choosing, judging = collection.calibration(), collection.judging()
        for name in ("queries", "documents"):
            first, second = getattr(choosing, name), getattr(judging, name)
            assert not set(first) & set(second)
            assert sorted(first + second) == sorted(getattr(collection, name))
            assert abs(len(first) - len(second)) <= 1


def test_no_text_that_chose_the_plan_judges_it(
    checkpoint: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen_by: list[int] = []
    judged_by: list[str] = []
    choose, compare = repair.repair, comparison.compare_int8

    def spy_on_repair(model: Any, scheme: Any, samples: Sequence[Sample], *others: Any) -> Any:
        chosen_by.append(len(samples))
        return choose(model, scheme, samples, *others)

    def spy_on_gate(judges: Sequence[texts.Collection], *others: Any) -> Any:
        judged_by.extend(text for judge in judges for text in judge.queries + judge.documents)
        return compare(judges, *others)

    monkeypatch.setattr(pipeline, "repair", spy_on_repair)
    monkeypatch.setattr(verify, "compare_int8", spy_on_gate)
    export(checkpoint("bert-pylate"), tmp_path / "out")
    halves = [collection.calibration() for collection in texts.collections()]
    choosing = {text for half in halves for text in half.queries + half.documents}
    assert chosen_by == [len(choosing)]
    assert judged_by
    assert not choosing & set(judged_by)


def test_graphs_are_measured_with_the_devices_options(bundle: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise sums overflow on x86 without VNNI, and the repair would react to errors that no device makes."""
    given: list[onnxruntime.SessionOptions] = []
    make = onnxruntime.InferenceSession

    graph = bundle("bert-pylate") / "model_int8.onnx"

    def spy(content: Any, options: onnxruntime.SessionOptions, **others: Any) -> onnxruntime.InferenceSession:
        given.append(options)
        return make(content, options, **others)

    monkeypatch.setattr(onnxruntime, "InferenceSession", spy)
    monkeypatch.setattr(session, "int8_saturates_here", lambda: True)
    verify.device_session(graph)
    assert given[0].get_session_config_entry("session.x64quantprecision") == "1"
    assert (given[0].intra_op_num_threads, given[0].enable_mem_pattern) == (1, False)


def test_an_exporting_cpu_without_vnni_chooses_the_same_graph(
    checkpoint: Folder, bundle: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "int8_saturates_here", lambda: True)
    export(checkpoint("bert-pylate"), tmp_path / "out")
    for name in ("model.onnx", "model_int8.onnx", "tokenizer.json"):
        assert (tmp_path / "out" / name).read_bytes() == (bundle("bert-pylate") / name).read_bytes()


@pytest.mark.parametrize(("scheme", "levels"), [("int8", 255), ("int8-avx2", 127)])
def test_smoothing_is_chosen_on_the_grid_of_its_scheme(scheme: quantize.Scheme, levels: int) -> None:
    weights = np.linspace(-1, 1, 5000, dtype=np.float32).reshape(-1, 1)
    assert len(np.unique(quantize.round_weights(weights, scheme))) == levels


def test_a_library_that_cannot_be_run_is_one_sentence(
    bundle: Folder, checkpoint: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["verify", str(bundle("bert-pylate")), str(checkpoint("bert-pylate"))]
    assert main([*arguments, "--pylate", "/nowhere/python"]) == 1
    assert "latelite-export: /nowhere/python cannot be run" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["bert-pylate", "bert-attend", "stanford", "lfm2-expansion"])
def test_bundles_are_compared_with_pylate_itself(
    name: str,
    fp32_bundle: Folder,
    checkpoint: Folder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    python = os.environ.get("LATELITE_PYLATE", str(PEER))
    if not Path(python).is_file():
        pytest.skip("PyLate is in no environment here: make peers PEERS=pylate, or LATELITE_PYLATE=<its python>")
    few = tuple(texts.Collection(c.language, c.queries[:2], c.documents[:5]) for c in texts.collections())
    monkeypatch.setattr(texts, "collections", lambda: few)
    assert main(["verify", str(fp32_bundle(name)), str(checkpoint(name)), "--pylate", python]) == 0
    assert "pylate 1.6" in capsys.readouterr().err
