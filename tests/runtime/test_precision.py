"""The precision follows from what the CPU can do and what the bundle has."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable
from pathlib import Path

import pytest

from latelite import cpus, models, precision, session
from latelite.cpus import int8_flags
from latelite.manifest import Graph

FP32 = {"fp32": Graph("model.onnx", "fp32")}
INT8 = {"int8": Graph("model_int8.onnx", "int8")}


@pytest.mark.parametrize(
    ("graphs", "flags", "machine", "chosen"),
    [
        (FP32 | INT8, ["asimddp"], "aarch64", "int8"),
        (FP32 | INT8, ["avx_vnni"], "x86_64", "int8"),
        (FP32 | INT8, [], "aarch64", "fp32"),
        (FP32 | INT8, [], "x86_64", "int8"),
        (FP32 | INT8, None, "arm64", "int8"),
        (INT8, [], "x86_64", "int8"),
        (FP32, ["avx_vnni"], "x86_64", "fp32"),
    ],
)
def test_choice(graphs: dict[str, Graph], flags: list[str] | None, machine: str, chosen: str) -> None:
    choice = precision.choose(graphs, flags, machine)
    assert choice.precision == chosen
    assert choice.reason


@pytest.mark.parametrize(
    ("flags", "machine", "saturates"),
    [
        ([], "x86_64", True),
        ([], "AMD64", True),
        (["avx_vnni"], "x86_64", False),
        (None, "x86_64", False),
        ([], "aarch64", False),
    ],
)
def test_sums_overflow_on_x86_without_dot_products(flags: list[str] | None, machine: str, saturates: bool) -> None:
    assert cpus.int8_saturates(flags, machine) is saturates


@pytest.mark.parametrize("saturates", [True, False])
def test_weights_are_turned_unsigned_only_where_sums_overflow(saturates: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "int8_saturates_here", lambda: saturates)
    options = session.session_options()
    if saturates:
        assert options.get_session_config_entry("session.x64quantprecision") == "1"
    else:
        with pytest.raises(RuntimeError, match="x64quantprecision"):
            options.get_session_config_entry("session.x64quantprecision")


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx2 avx512_vnni amx_int8\n\nprocessor\t: 1\n", ("avx512_vnni", "amx_int8")),
        ("Features\t: fp asimd asimddp\n", ("asimddp",)),
        ("Features\t: fp asimd evtstrm crc32 cpuid\n", ()),
        ("processor\t: 0\n", None),
        (None, None),
    ],
)
def test_flags_are_read_from_proc(text: str | None, flags: tuple[str, ...] | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "proc").mkdir()
        (tmp_path / "proc/cpuinfo").write_text(text)
    assert int8_flags(tmp_path) == flags


def test_a_model_that_is_not_told_runs_what_suits_the_cpu(
    bundle: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = bundle("bert-pylate")
    for flags, expected in ((("asimddp",), "int8"), ((), "fp32")):
        monkeypatch.setattr(precision, "int8_flags", lambda flags=flags: flags)
        monkeypatch.setattr(platform, "machine", lambda: "aarch64")
        with caplog.at_level(logging.INFO, "latelite.models"):
            model = models.ColBERT(folder)
        assert model.precision == expected
        assert f"in {expected}: the CPU has" in caplog.text
        told = models.ColBERT(folder, precision=expected)  # type: ignore[arg-type]
        assert model.encode("a text").tobytes() == told.encode("a text").tobytes()
    assert models.ColBERT(folder, precision="int8").precision == "int8"
