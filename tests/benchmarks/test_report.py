"""Tables and plots are generated from the result files."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import markdown_table
import pytest
import quality_tables
import report
import results
import tables

from latelite import device

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The repository's pages, results and plots."""
    shutil.copytree(ROOT / "benchmarks", tmp_path / "benchmarks", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "README.md", tmp_path)
    (tmp_path / report.CARD).parent.mkdir(parents=True)
    shutil.copy(ROOT / report.CARD, tmp_path / report.CARD)
    return tmp_path


def test_tables_and_plots_are_those_of_the_results() -> None:
    assert report.differences(ROOT, ROOT / "benchmarks" / "results") == []


PAGES = (report.README, report.REPORT, report.CARD)


@pytest.mark.parametrize("page", PAGES)
def test_a_changed_table_is_noticed(copy: Path, page: Path) -> None:
    text = (copy / page).read_text()
    start = text.index("<!-- begin results -->")
    changed = re.sub(r"\d(?= \|)", lambda m: str((int(m[0]) + 1) % 10), text[start:], count=1)
    assert changed != text[start:]
    (copy / page).write_text(text[:start] + changed)
    assert report.main(["--check", "--root", str(copy)]) == 1


def test_a_changed_result_is_noticed(copy: Path) -> None:
    path = next(copy.glob("benchmarks/results/*-search.json"))
    text = path.read_text()
    path.write_text(re.sub(r'"p50": [\d.]+', '"p50": 123456', text))
    assert {str(report.README), str(report.REPORT)} <= {
        each.split(":")[0] for each in report.differences(copy, copy / "benchmarks" / "results")
    }


def test_a_missing_plot_is_noticed(copy: Path) -> None:
    next(copy.glob("benchmarks/plots/*.svg")).unlink()
    assert any("missing" in each for each in report.differences(copy, copy / "benchmarks" / "results"))


def test_renewing_changes_nothing_that_is_right(copy: Path) -> None:
    before = {page: (copy / page).read_text() for page in PAGES}
    assert report.main(["--root", str(copy)]) == 0
    assert {page: (copy / page).read_text() for page in before} == before
    assert report.main(["--check", "--root", str(copy)]) == 0


def test_plots_are_the_same_bytes_each_time(copy: Path) -> None:
    pytest.importorskip("matplotlib")

    def drawn() -> dict[str, bytes]:
        for path in copy.glob("benchmarks/plots/*.svg"):
            path.unlink()
        report.main(["--root", str(copy)])
        return {path.name: path.read_bytes() for path in copy.glob("benchmarks/plots/*.svg")}

    assert drawn() == drawn() != {}


def test_quality_of_another_model_is_not_mixed_in(tmp_path: Path) -> None:
    def saved(part: str, fingerprint: str, date: str) -> None:
        figures = {"bundle": {"id": "m", "fingerprint": fingerprint}, "sets": {part: {}}}
        state = device.state()
        result = results.result_of("quality", figures, part=part, command="", before=state, after=state)
        results.save(replace(result, date=date), tmp_path)

    saved("a", "old", "2026-01-01T00:00:00+00:00")
    saved("b", "new", "2026-01-02T00:00:00+00:00")
    saved("c", "new", "2026-01-03T00:00:00+00:00")
    (machine,) = report.machines(tmp_path)
    assert list(quality_tables.merged_sets(machine.quality)) == ["b", "c"]


def test_every_warning_of_a_run_stands_under_its_table() -> None:
    def form(text: str) -> str:
        return re.sub(r"\d+( to \d+)?%", "%", text)

    text = form((ROOT / report.REPORT).read_text())
    for machine in report.machines(ROOT / "benchmarks" / "results"):
        for result in machine.newest.values():
            assert all(form(warning) in text for warning in result.warnings)


def test_warnings_that_differ_in_their_percentage_alone_are_one() -> None:
    state = device.state()
    run = results.result_of("quality", {}, part="a", command="", before=state, after=state)
    found = [
        replace(run, warnings=("Others used 63% of the time.", "85 °C.")),
        replace(run, warnings=("Others used 40% of the time.",)),
        replace(run, warnings=("Others used 50% of the time.", "The host took 5%.")),
    ]
    assert tables.merged_warnings(found) == ["Others used 40 to 63% of the time.", "85 °C.", "The host took 5%."]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.123456, "0.12"), (1.26, "1.26"), (12.34, "12.3"), (1234.5, "1,234"), (99.96, "100.0")],
)
def test_numbers_have_three_digits(value: float | None, text: str) -> None:
    assert markdown_table.number(value) == text


def test_shares() -> None:
    assert [markdown_table.share(value) for value in (None, 0.97149, 1.0, 0.0)] == ["-", ".971", "1", ".000"]


def test_a_language_with_several_sets_gets_a_mean() -> None:
    def one(language: str, value: float) -> dict[str, object]:
        return {
            "language": language,
            "documents": 10,
            "queries": 5,
            "rows": {"int8": {"ndcg@10": value}, "bm25": {"ndcg@10": 0.5}},
        }

    text = quality_tables.quality({"de-a": one("de", 0.5), "de-b": one("de", 0.7), "en-a": one("en", 0.9)}, "ndcg@10")
    assert "| *de, mean of 2 sets* | .600 | .500 |" in text
    assert "en, mean" not in text
