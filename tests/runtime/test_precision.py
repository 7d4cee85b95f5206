"""The precision depends on the CPU's features and the bundle's graphs."""

from __future__ import annotations

import logging
import os
import platform
import struct
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
        (None, "x86_64", True),  # not Linux: wrong sums would go unnoticed
        (None, "arm64", False),
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


def auxiliary(hwcap: int, hwcap2: int = 0) -> bytes:
    """An auxiliary vector as /proc/self/auxv gives it: page size, capabilities, end."""
    return struct.pack("<8Q", 6, 4096, 16, hwcap, 26, hwcap2, 0, 0)


X86_LINE = "flags\t\t: fpu avx2 avx512_vnni avx_vnni\n"
V1 = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
ARM_LINE = "Features\t: fp asimd asimddp\n"


@pytest.mark.parametrize(
    ("cpuinfo", "vector", "machine", "flags"),
    [
        # what qemu-user shows of cortex-a72 and cortex-a76, beside the host's cpuinfo
        (X86_LINE, auxiliary(0x8FB), "aarch64", ()),
        (X86_LINE, auxiliary(0x119FFB), "aarch64", ("asimddp",)),
        (X86_LINE, auxiliary(0x119FFB, 1 << 13), "arm64", ("asimddp", "i8mm")),
        # a cpuinfo that does not fit the CPU
        (ARM_LINE, auxiliary(0x8FB), "aarch64", ()),
        # no vector, or a cut one: the right form of line, or nothing
        (ARM_LINE, None, "aarch64", ("asimddp",)),
        (ARM_LINE, auxiliary(0x8FB)[:-3], "aarch64", ("asimddp",)),
        (X86_LINE, None, "aarch64", None),
        # x86 emulated on an Arm host
        (ARM_LINE, auxiliary(0x119FFB), "x86_64", None),
        (X86_LINE, auxiliary(0x178BFBFF), "x86_64", ("avx512_vnni", "avx_vnni")),
    ],
)
def test_another_architectures_flags_never_decide(
    cpuinfo: str, vector: bytes | None, machine: str, flags: tuple[str, ...] | None, tmp_path: Path
) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/cpuinfo").write_text(cpuinfo)
    if vector is not None:
        (tmp_path / "proc/self/auxv").write_bytes(vector)
    assert int8_flags(tmp_path, machine) == flags


@pytest.mark.parametrize(
    ("groups", "files", "quota"),
    [
        ("0::/\n", {"cpu.max": "150000 100000"}, 1.5),
        ("0::/\n", {"cpu.max": "max 100000"}, None),
        ("0::/a/b\n", {"a/cpu.max": "100000 100000", "a/b/cpu.max": "300000 100000"}, 1.0),  # the parent's counts
        ("0::/docker/8f3\n", {"cpu.max": "50000 100000"}, 0.5),  # the host's path, not mounted here
        ("4:cpu,cpuacct:/\n3:cpuset:/\n", {f"cpu,cpuacct/{V1[0]}": "200000", f"cpu,cpuacct/{V1[1]}": "100000"}, 2.0),
        ("4:cpu:/x\n0::/\n", {f"cpu/x/{V1[0]}": "-1", f"cpu/x/{V1[1]}": "100000"}, None),
        ("0::/\n", {"cpu.max": "nonsense"}, None),
        ("", {}, None),
    ],
)  # fmt: skip
def test_a_containers_quota(groups: str, files: dict[str, str], quota: float | None, tmp_path: Path) -> None:
    for name, text in {"proc/self/cgroup": groups, **{f"sys/fs/cgroup/{k}": v for k, v in files.items()}}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert cpus.cpu_quota(tmp_path) == quota


def test_threads_follow_the_quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/\n")
    for text, threads in (("max 100000", 8), ("150000 100000", 2), ("20000 100000", 1), ("9900000 100000", 8)):
        (tmp_path / "sys/fs/cgroup/cpu.max").write_text(text)
        assert cpus.usable_cpus(tmp_path) == threads


def test_a_model_that_is_not_told_runs_what_suits_the_cpu(
    bundle: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = bundle("bert-pylate")
    for flags, expected in ((("asimddp",), "int8"), ((), "fp32")):
        monkeypatch.setattr(precision, "int8_flags", lambda flags=flags: flags)
        monkeypatch.setattr(platform, "machine", lambda: "aarch64")
        with caplog.at_level(logging.INFO, "latelite.encoder"):
            model = models.ColBERT(folder)
        assert model.precision == expected
        assert f"in {expected}: the CPU has" in caplog.text
        told = models.ColBERT(folder, precision=expected)
        assert model.encode("a text").tobytes() == told.encode("a text").tobytes()
    assert models.ColBERT(folder, precision="int8").precision == "int8"
