"""The doctor's advice follows from the facts."""

from __future__ import annotations

import os
from typing import Any

import onnxruntime
import pytest

from latelite import doctor

HEALTHY: dict[str, Any] = {
    "bits": 64,
    "architecture": "aarch64",
    "numpy": "2.0",
    "onnxruntime": "1.30.0",
    "tokenizers": "0.22",
    "hnswlib": "0.8.0",
    "int8_flags": ["asimddp"],
    "memory_mib": 4096,
    "state": {
        "governors": ["performance"],
        "temperature_c": 45.0,
        "throttled": None,
        "throttle_count": None,
        "cooling": None,
    },
}


def levels(**changes: Any) -> list[str]:
    return [finding.level for finding in doctor.findings(HEALTHY | changes)]


def test_a_healthy_machine_gets_no_advice() -> None:
    assert levels() == ["ok"]


@pytest.mark.parametrize(
    ("change", "level", "word"),
    [
        ({"bits": 32}, "problem", "64-bit"),
        ({"onnxruntime": None}, "problem", "onnxruntime is not installed"),
        ({"onnxruntime": "1.21.0"}, "problem", "Raspberry Pi 4"),
        ({"onnxruntime": "1.27.0"}, "problem", "same text"),
        ({"int8_flags": []}, "advice", "may not be faster"),
        ({"int8_flags": []}, "advice", "run in fp32"),
        ({"int8_flags": [], "architecture": "x86_64"}, "advice", "--scheme int8-avx2"),
        ({"int8_flags": [], "architecture": "x86_64"}, "advice", "run in int8"),
        ({"state": {**HEALTHY["state"], "governors": ["ondemand"]}}, "advice", "ondemand"),
        ({"hnswlib": None}, "advice", "latelite[hnsw]"),
        ({"memory_mib": 400}, "advice", "400 MiB"),
        ({"hnswlib": None}, "advice", "C++ compiler"),
        ({"onnxruntime_distributions": ["onnxruntime", "onnxruntime-gpu"]}, "problem", "overwrite each other"),
        (
            {
                "onnxruntime": None,
                "onnxruntime_distributions": ["onnxruntime"],
                "onnxruntime_error": "the process is killed by SIGSEGV",
            },
            "problem",
            "cannot be loaded: the process is killed by SIGSEGV",
        ),
        ({"providers": ["CUDAExecutionProvider", "CPUExecutionProvider"]}, "advice", "CUDAExecutionProvider"),
        (
            {"cpu_quota": 1.5, "cores": 4, "usable_cores": 2},
            "advice",
            "1.5 of 4 CPUs; by default, latelite uses 2 threads",
        ),
    ],
)
def test_each_trouble_is_named(change: dict[str, Any], level: str, word: str) -> None:
    texts = [f.text for f in doctor.findings(HEALTHY | change) if f.level == level]
    assert any(word in text for text in texts)


def test_what_fails_on_arm_only_is_no_trouble_elsewhere() -> None:
    x86 = {"architecture": "x86_64", "int8_flags": ["avx512_vnni"]}
    assert levels(**x86, onnxruntime="1.21.0") == ["ok"]
    assert levels(**x86, onnxruntime="1.24.0") == ["problem", "ok"]


def test_unknown_flags_give_no_advice_about_them() -> None:
    assert levels(int8_flags=None) == []


def test_facts_of_this_machine() -> None:
    facts = doctor.facts()
    assert facts["bits"] == 64
    assert facts["cores"] >= facts["usable_cores"] >= 1
    assert facts["onnxruntime"].count(".") == 2
    assert set(HEALTHY) <= set(facts)
    assert set(HEALTHY["state"]) <= set(facts["state"])


def test_onnxruntime_is_tried_in_a_process_of_its_own() -> None:
    found = doctor.try_onnxruntime()
    assert found["onnxruntime"] == onnxruntime.__version__
    assert found["providers"] == onnxruntime.get_available_providers()
    assert found["onnxruntime_error"] is None
    assert any(name.startswith("onnxruntime") for name in found["onnxruntime_distributions"])


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import os; os.kill(os.getpid(), 11)", "the process is killed by SIGSEGV"),
        ("import os; os.kill(os.getpid(), 4)", "the process is killed by SIGILL"),
        ("raise ImportError('libcudart.so.12: cannot open')", "ImportError: libcudart.so.12: cannot open"),
        ("import sys; sys.exit(7)", "the process ends with status 7"),
    ],
)
def test_a_crash_there_becomes_a_finding(code: str, error: str) -> None:
    found = doctor.try_onnxruntime(code)
    assert found["onnxruntime"] is None
    assert found["onnxruntime_error"] == error
    (finding,) = (f for f in doctor.findings(HEALTHY | found) if f.level == "problem")
    assert error in finding.text


def test_an_installation_under_another_name_is_none_to_complain_about() -> None:
    assert levels(onnxruntime_distributions=["onnxruntime-gpu"]) == ["ok"]
