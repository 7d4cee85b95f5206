"""Runs the benchmarks, with a result file each, and updates the tables and plots.

    python benchmarks/suite.py                          # what make bench runs: minutes, no data needed
    python benchmarks/suite.py --full --data FOLDER     # what make bench-full runs; FOLDER holds sets in BEIR layout
    python benchmarks/suite.py --only search footprint
    python benchmarks/suite.py --full --data FOLDER --sets en-scifact --only quality -- --rows int8 bm25

Arguments after ``--`` are passed to the scripts. Each script runs in a separate process, and the device's state is
recorded before and after it. If a benchmark fails, its message is printed, the others still run, and the exit status is
1. To have runs of one script on different sets in the tables, name them with ``--part``.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import report
import results

from latelite import device

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path("models/build/vectors")
"""Cache of token vectors."""
HUB_LANGUAGE = "en"
"""Language whose documents are also searched with questions in the other languages."""


@dataclass(frozen=True)
class Step:
    """A script with its arguments."""

    name: str
    """Name of the script and of the result."""
    arguments: tuple[str, ...]

    def command(self, data: Path | None) -> str:
        """The command line, with DATA and PYTHON in place of this machine's paths."""
        words = ["python", f"benchmarks/{self.name}.py"]
        for word in self.arguments:
            if data is not None:
                word = word.replace(str(data), "DATA")
            name, equals, _ = word.partition("=")
            words.append(f"{name}=PYTHON" if equals else word)
        return shlex.join(words)


def sets_in(data: Path) -> list[Path]:
    """Folders in BEIR layout, sorted by name."""
    return sorted(path.parent for path in data.glob("*/corpus.jsonl"))


def crossings(sets: Sequence[Path]) -> list[str]:
    """``queries:corpus`` for every ``LANGUAGE-NAME`` whose judged documents are in ``en-NAME``."""
    known = {path.name: path for path in sets}
    pairs = []
    for path in sets:
        language, _, name = path.name.partition("-")
        corpus = known.get(f"{HUB_LANGUAGE}-{name}")
        if corpus is not None and language != HUB_LANGUAGE and _fits(path, corpus):
            pairs.append(f"{path}:{corpus}")
    return pairs


def _fits(queries: Path, corpus: Path) -> bool:
    """Whether most judged documents are in the corpus."""
    with (corpus / "corpus.jsonl").open(encoding="utf-8") as lines:
        ids = {json.loads(line)["_id"] for line in lines if line.strip()}
    rows = (queries / "qrels.tsv").read_text(encoding="utf-8").splitlines()[1:]
    return sum(row.split("\t")[1] in ids for row in rows) * 2 > len(rows)


def steps(options: argparse.Namespace) -> list[Step]:
    """The steps to run, short ones first."""
    bundle = ("--bundle", str(options.bundle))
    checkpoint = ("--checkpoint", str(options.checkpoint)) if options.checkpoint.exists() else ()
    peers = tuple(word for each in options.peer for word in ("--peer", each))
    if not options.full:
        return [
            Step("maxsim", ()),
            Step("encode", ("--models", "bert", "--lengths", "32", "180", "512", "--threads", "1")),
            Step("search", (*bundle, "--documents", "2000", "--starts", "3")),
            Step("footprint", (*bundle, "--documents", "500", "1000", "2000")),
            Step("peers", (*bundle, *checkpoint, *peers, "--documents", "250")),
        ]
    found = [
        Step("maxsim", ()),
        Step("encode", bundle),
        Step("graph_choices", ()),
        Step("search", (*bundle, "--min-seconds", "60")),
        Step("footprint", (*bundle, "--documents", "1000", "2000", "5000")),
        Step("serve", bundle),
        Step("peers", (*bundle, *checkpoint, *peers, "--documents", "1000")),
    ]
    if options.data is not None:
        sets = [path for path in sets_in(options.data) if not options.sets or path.name in options.sets]
        largest = max(sets, key=lambda path: (path / "corpus.jsonl").stat().st_size)
        found += [
            Step("quality", (*bundle, "--cache", str(CACHE), "--data", *map(str, sets), *crossings(sets))),
            Step("index", (*bundle, "--data", str(largest))),
        ]
    return found


def run(step: Step, folder: Path, data: Path | None, replace: bool, part: str | None = None) -> Path:
    """Run a step and save its result.

    Raises:
        subprocess.CalledProcessError: the script failed.
    """
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / "figures.json"
        script = Path(__file__).with_name(f"{step.name}.py")
        before = device.state()
        subprocess.run([sys.executable, str(script), *step.arguments, "--json", str(target)], cwd=ROOT, check=True)
        after = device.state()
        figures = json.loads(target.read_text(encoding="utf-8"))
    command = step.command(data)
    result = results.result_of(step.name, figures, part=part, command=command, before=before, after=after)
    path = results.save(result, folder)
    if replace:
        for old in list(results.outdated(result, folder)):
            old.unlink()
    for warning in result.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, save, report; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="all lengths, threads and peers; longer streams")
    parser.add_argument("--data", type=Path, help="folder of folders in BEIR layout, with --full")
    parser.add_argument("--sets", nargs="+", metavar="NAME", help="only these folders of --data")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="run only these")
    parser.add_argument("--part", metavar="NAME", help="name of this part of a benchmark; with --only")
    parser.add_argument("--bundle", type=Path, default=Path("models/default-onnx"))
    parser.add_argument("--checkpoint", type=Path, default=Path("models/latelite-colbert-16m"))
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON", help="see peers.py")
    parser.add_argument("--results", type=Path, default=results.FOLDER)
    parser.add_argument("--replace", action="store_true", help="delete earlier results of this machine")
    words = list(sys.argv[1:] if arguments is None else arguments)
    own, extra = (words[: words.index("--")], words[words.index("--") + 1 :]) if "--" in words else (words, [])
    options = parser.parse_args(own)
    known = {path.name for path in sets_in(options.data)} if options.data is not None else set()
    if options.data is not None and not known:
        parser.error(f"{options.data} has no folder with a corpus.jsonl; see benchmarks/README.md for the layout.")
    if unknown := set(options.sets or ()) - known:
        parser.error(f"no set of that name in --data: {', '.join(sorted(unknown))}")
    chosen = [Step(step.name, (*step.arguments, *extra)) for step in steps(options)]
    if unknown := set(options.only or ()) - {step.name for step in chosen}:
        parser.error(f"not part of this suite: {', '.join(sorted(unknown))}")
    if (extra or options.part) and not options.only:
        parser.error("--part and arguments after -- need --only")
    failed = []
    for step in chosen:
        if options.only and step.name not in options.only:
            continue
        start = time.monotonic()
        print(f"\n=== {step.command(options.data)}", flush=True)
        try:
            path = run(step, options.results, options.data, options.replace, options.part)
        except subprocess.CalledProcessError as error:
            failed.append(step.name)
            print(f"{step.name} failed with exit status {error.returncode}", file=sys.stderr)
            continue
        print(f"=== {path.name}, {time.monotonic() - start:.0f} s", flush=True)
    if options.results == results.FOLDER:
        report.main([])
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
