"""The doctor's advice follows from the facts."""

from __future__ import annotations

from typing import Any

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
