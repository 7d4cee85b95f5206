"""The suite runs scripts, saves their results, and continues if one fails."""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

import pytest
import results
import suite

from benchmark_sets import write_set


def options(full: bool, data: Path | None = None) -> argparse.Namespace:
    return argparse.Namespace(
        full=full, data=data, bundle=Path("bundle"), checkpoint=Path("absent"), peer=["a=/b/c"], sets=None
    )


def test_the_short_suite_needs_no_data() -> None:
    names = [step.name for step in suite.steps(options(full=False))]
    assert {"encode", "maxsim", "search", "footprint", "peers"} <= set(names)
    assert not {"quality", "index"} & set(names)


def test_the_full_suite_crosses_languages(tmp_path: Path) -> None:
    for language in ("de", "en", "nl"):
        write_set(tmp_path / f"{language}-tiny", language)
    foreign = write_set(tmp_path / "de-other", "de")
    other = write_set(tmp_path / "en-other", "en")
    (other / "corpus.jsonl").write_text('{"_id": "x", "text": "judged by nobody"}\n')
    (quality,) = (step for step in suite.steps(options(full=True, data=tmp_path)) if step.name == "quality")
    assert f"{tmp_path / 'de-tiny'}:{tmp_path / 'en-tiny'}" in quality.arguments
    assert f"{tmp_path / 'nl-tiny'}:{tmp_path / 'en-tiny'}" in quality.arguments
    assert str(foreign) in quality.arguments
    assert not any(word.startswith(f"{foreign}:") for word in quality.arguments)


def test_commands_name_no_paths_of_the_machine(tmp_path: Path) -> None:
    step = suite.Step("quality", ("--data", f"{tmp_path}/a:{tmp_path}/b", "--peer", "pylate=/home/me/bin/python"))
    assert step.command(tmp_path) == "python benchmarks/quality.py --data DATA/a:DATA/b --peer pylate=PYTHON"


def test_a_step_leaves_a_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "tiny.py"
    script.write_text("import json, sys\njson.dump({'ms': 1.0}, open(sys.argv[sys.argv.index('--json') + 1], 'w'))\n")
    monkeypatch.setattr(suite, "__file__", str(tmp_path / "suite.py"))
    path = suite.run(suite.Step("tiny", ("--fast",)), tmp_path / "results", None, replace=False, part="some")
    result = results.read(path)
    assert (result.benchmark, result.part) == ("tiny", "some")
    assert path.name.endswith("-tiny-some.json")
    assert result.figures == {"ms": 1.0}
    assert result.command == "python benchmarks/tiny.py --fast"
    assert {"before", "after"} <= set(result.device)


def test_a_failing_benchmark_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done: list[str] = []

    def run(step: suite.Step, *_: object) -> Path:
        if step.name == "encode":
            raise subprocess.CalledProcessError(3, "encode")
        done.append(step.name)
        return tmp_path / "x.json"

    monkeypatch.setattr(suite, "run", run)
    assert suite.main(["--results", str(tmp_path)]) == 1
    assert {"search", "footprint"} <= set(done)
    assert "encode failed with exit status 3" in capsys.readouterr().err


def test_arguments_after_two_dashes_reach_the_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run: list[suite.Step] = []

    def remember(step: suite.Step, *_: object) -> Path:
        run.append(step)
        return tmp_path

    monkeypatch.setattr(suite, "run", remember)
    assert suite.main(["--results", str(tmp_path), "--only", "maxsim", "--", "--dim", "96"]) == 0
    assert run == [suite.Step("maxsim", ("--dim", "96"))]
    with pytest.raises(SystemExit):
        suite.main(["--results", str(tmp_path), "--", "--dim", "96"])


def test_an_empty_data_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        suite.main(["--full", "--data", str(tmp_path)])
