"""Execution providers: passed through, with a graph that they can run; refused if everything would run on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from latelite.errors import ProviderError
from latelite.models import ColBERT

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """An ONNX Runtime with CUDA's provider, which is what it was asked for; the graph still runs on the CPU."""
    asked: list[Any] = []
    real = onnxruntime.InferenceSession

    class Session:
        def __init__(self, path: str, *, sess_options: onnxruntime.SessionOptions, providers: list[Any]) -> None:
            asked.append((Path(path).name, providers))
            self._session = real(path, sess_options=sess_options, providers=[CPU])
            self._providers = [name if isinstance(name, str) else name[0] for name in providers]

        def get_providers(self) -> list[str]:
            return self._providers

        def __getattr__(self, name: str) -> Any:
            return getattr(self._session, name)

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    return asked


def test_another_provider_runs_the_fp32_graph_with_the_cpu_behind_it(
    bundle: Callable[[str], Path], gpu: list[Any]
) -> None:
    model = ColBERT(bundle("bert-pylate"), providers=[CUDA])
    assert model.precision == "fp32"
    assert gpu == [("model.onnx", [CUDA, CPU])]
    on_cpu = ColBERT(bundle("bert-pylate"), precision="fp32")
    np.testing.assert_array_equal(model.encode("a note"), on_cpu.encode("a note"))


def test_options_are_passed_on(bundle: Callable[[str], Path], gpu: list[Any]) -> None:
    ColBERT(bundle("bert-pylate"), providers=[(CUDA, {"device_id": 1})])
    assert gpu == [("model.onnx", [(CUDA, {"device_id": 1}), CPU])]


def test_int8_on_another_provider_is_refused(bundle: Callable[[str], Path], gpu: list[Any]) -> None:
    with pytest.raises(ValueError, match="int8 graphs run on the CPU only"):
        ColBERT(bundle("bert-pylate"), precision="int8", providers=[CUDA])
    assert not gpu


def test_the_cpu_by_name_is_the_default(bundle: Callable[[str], Path]) -> None:
    named = ColBERT(bundle("bert-pylate"), precision="int8", providers=[CPU])
    assert (
        named.encode("a note").tobytes() == ColBERT(bundle("bert-pylate"), precision="int8").encode("a note").tobytes()
    )


@pytest.mark.parametrize("providers", [["RocketExecutionProvider"], ["RocketExecutionProvider", CPU]])
def test_a_provider_that_is_not_installed_is_named(bundle: Callable[[str], Path], providers: list[str]) -> None:
    with pytest.raises(ValueError, match=r"has no RocketExecutionProvider here, only .*CPUExecutionProvider"):
        ColBERT(bundle("bert-pylate"), providers=providers)


@pytest.mark.parametrize("providers", [[], "CPUExecutionProvider"])
def test_providers_are_a_list(bundle: Callable[[str], Path], providers: Any) -> None:
    with pytest.raises(ValueError, match="must be a list of names"):
        ColBERT(bundle("bert-pylate"), providers=providers)


def test_a_silent_retreat_to_the_cpu_is_an_error(
    bundle: Callable[[str], Path], gpu: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime falls back silently if CUDA's libraries are missing."""
    monkeypatch.setattr(onnxruntime.InferenceSession, "get_providers", lambda _: [CPU])
    with pytest.raises(ProviderError, match="CUDAExecutionProvider could not be set up"):
        ColBERT(bundle("bert-pylate"), providers=[CUDA])
