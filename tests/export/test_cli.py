"""``latelite-export``: exit codes, streams, and what it imports."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from latelite.manifest import Manifest
from latelite_export import quantize
from latelite_export.cli import _SCHEMES, main

Folder = Callable[[str], Path]


@pytest.mark.parametrize("arguments", [["--help"], ["verify", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from latelite_export.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'torch', 'transformers', 'onnx', 'onnxruntime', 'numpy', 'optimum'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )
    result = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "BUNDLE" in result.stdout


def test_wrong_usage_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["checkpoint-without-output"])
    assert caught.value.code == 2
    assert "--output" in capsys.readouterr().err


def test_a_failure_is_one_sentence_and_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "nowhere"), "-o", str(tmp_path / "out")]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("latelite-export: there is no folder")
    assert captured.err.count("\n") == 1


def test_export_prints_the_resolved_settings_and_the_report(
    checkpoint: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = [str(checkpoint("stanford")), "-o", str(out), "--scheme", "fp32", "--query-expansion", "off"]
    assert main([*arguments, "--document-length", "64"]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert "stanford: stanford layout" in lines
    table = {line.split()[0]: line for line in lines if line.startswith("  ")}
    assert table["query_prefix"].split() == ["query_prefix", '"[unused0]"', "artifact.metadata"]
    assert table["do_query_expansion"].split() == ["do_query_expansion", "false", "argument"]
    assert table["document_length"].split() == ["document_length", "64", "argument"]
    assert any(line.startswith("fp32: largest difference") for line in lines)
    settings = Manifest.read(out).settings
    assert (settings.do_query_expansion, settings.document_length) == (False, 64)
    assert main(arguments) == 1  # it is there already
    assert "--override" in capsys.readouterr().err


def test_json_is_the_manifest(checkpoint: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main([str(checkpoint("bert-pylate")), "-o", str(out), "--scheme", "fp32", "--json"]) == 0
    assert capsys.readouterr().out == (out / "manifest.json").read_text()


def test_verify_with_and_without_checkpoint(
    bundle: Folder, checkpoint: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(bundle("bert-pylate"))
    assert main(["verify", folder, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["fp32"]["max_abs_error"] == 0
    assert main(["verify", folder, str(checkpoint("bert-pylate"))]) == 0
    assert "int8: token cosine mean" in capsys.readouterr().err
    assert main(["verify", folder, str(checkpoint("bert-attend"))]) == 1
    assert "was not made from the weights" in capsys.readouterr().err


def test_verify_of_something_else_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(tmp_path)]) == 1
    assert "is not a bundle" in capsys.readouterr().err


def test_the_schemes_offered_are_those_of_the_quantiser() -> None:
    assert _SCHEMES == quantize.SCHEMES
