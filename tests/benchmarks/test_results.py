"""A result file has everything needed to judge its figures; other files are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import results

from latelite import device

STATE: dict[str, Any] = device.state()


def made(benchmark: str = "search", **changes: Any) -> results.Result:
    result = results.result_of(benchmark, {"ms": 1.5}, command="python x.py", before=STATE, after=STATE)
    return replace(result, **changes)


def test_a_result_survives_the_disk(tmp_path: Path) -> None:
    result = made()
    path = results.save(result, tmp_path / "results")
    assert results.read(path) == result
    assert path.name == f"{result.date[:10]}-{result.machine}-{result.revision or 'unknown'}-search.json"
    assert result.device["versions"]["numpy"]
    assert result.device["before"] == STATE


def test_a_warning_about_the_run_is_recorded() -> None:
    hot = {**STATE, "temperature_c": 90.0}
    result = results.result_of("search", {}, command="", before=STATE, after=hot)
    assert any("90 °C" in warning for warning in result.warnings)


def test_other_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    path.write_text(json.dumps({"ms": 1}))
    with pytest.raises(ValueError, match="not a result"):
        results.read(path)
    content = json.loads(results.save(made(), tmp_path).read_text())
    path.write_text(json.dumps({**content, "format_version": 99}))
    with pytest.raises(ValueError, match="version 99"):
        results.read(path)
    del content["device"]
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="lacks fields"):
        results.read(path)


def test_a_figure_that_is_no_number_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        results.save(made(figures={"ms": float("nan")}), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_only_earlier_runs_of_the_same_benchmark_and_machine_are_outdated(tmp_path: Path) -> None:
    old = results.save(made(date="2026-01-01T10:00:00+00:00"), tmp_path)
    results.save(made("encode", date="2026-01-01T10:00:00+00:00"), tmp_path)
    results.save(made(date="2026-01-02T10:00:00+00:00", machine="other"), tmp_path)
    results.save(made(date="2026-01-02T10:00:00+00:00", part="xquad"), tmp_path)
    new = made(date="2026-01-03T10:00:00+00:00")
    results.save(new, tmp_path)
    assert list(results.outdated(new, tmp_path)) == [old]


@pytest.mark.parametrize(
    ("board", "cpu", "name"),
    [
        ("Raspberry Pi 5 Model B Rev 1.0", "Cortex-A76", "raspberry-pi-5-model-b-rev-1-0"),
        (None, "Intel(R) Xeon(R) Processor @ 2.60GHz", "intel-xeon"),
        (None, "AMD Ryzen 7 5800X 8-Core Processor", "amd-ryzen-7-5800x-8-core"),
        (None, None, "aarch64"),
    ],
)
def test_machine_names_are_parts_of_file_names(board: str | None, cpu: str | None, name: str) -> None:
    assert results.machine_name({"board": board, "cpu": cpu, "architecture": "aarch64"}) == name
