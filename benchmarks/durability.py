"""Does it hold whatever happens? Runs the generated cases of tests/reliability in their full number, and keeps count.

    python benchmarks/durability.py --part kills --count 306 --runs 3 --json benchmarks/results

kills         SIGKILL at random moments, ``--count`` at a collection and as many at the kinds of index
damage        any byte of any file changed, and folders made by an enemy
faults        calls of the system that fail
crash_states  what a power cut may leave behind

``--count`` is divided between ``--runs``, each with its own seed, so that none takes too long. For each test the
result holds how often it did what, and whether it passed; a run that fails prints pytest's report, and the exit status
is 1. ``LATELITE_SEED`` and the other variable in the result repeat it.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import results

from latelite import device

_ROOT = Path(__file__).resolve().parent.parent
_PARTS = {"kills": "KILLS", "damage": "DAMAGES", "faults": "FAULTS", "crash_states": "CRASH_STATES"}
"""Name of ``tests/reliability/test_<part>.py``, and of the variable that sets how many cases it generates."""


def run(part: str, count: int, seed: int, under: str) -> list[dict[str, Any]]:
    """One run of pytest; returns a row per test."""
    variables = {f"LATELITE_{_PARTS[part]}": str(count), "LATELITE_SEED": str(seed)}
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [*shlex.split(under), sys.executable, "-m", "pytest", "-q", f"tests/reliability/test_{part}.py"]
        command += [f"--junitxml={report}", "-o", "junit_family=xunit1", f"--basetemp={folder}/tests"]
        done = subprocess.run(command, cwd=_ROOT, env=os.environ | variables, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            print(done.stdout, flush=True)
        cases = ElementTree.parse(report).iter("testcase") if report.exists() else []
        return [{"seed": seed, **variables, **_row(case)} for case in cases]


def _row(case: ElementTree.Element) -> dict[str, Any]:
    outcome = next((kind for kind in ("failure", "error", "skipped") if case.find(kind) is not None), "passed")
    row: dict[str, Any] = {"test": case.get("name"), "outcome": outcome}
    for each in case.iter("property"):
        row[str(each.get("name"))] = json.loads(str(each.get("value")))
    return {**row, "seconds": round(float(case.get("time", 0)), 1)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=_PARTS, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--under", default="", help="a command that each run is put under, as nice or timeout")
    parser.add_argument("--json", type=Path, help="folder to save the counts in")
    options = parser.parse_args()
    before, rows = device.state(), []
    for seed in range(options.runs):
        found = run(options.part, -(-options.count // options.runs), seed, options.under)
        rows += found
        for row in found:
            print(json.dumps(row), flush=True)
    outcomes = Counter(row["outcome"] for row in rows)
    totals: Counter[str] = Counter()
    for row in rows:
        totals.update({name: value for name, value in row.items() if type(value) is int and name != "seed"})
    figures = {
        "count": options.count,
        "runs": options.runs,
        "outcomes": dict(outcomes),
        "totals": dict(totals),
        "rows": rows,
    }
    if options.json:
        command = "python benchmarks/durability.py " + " ".join(sys.argv[1:])
        after = device.state()
        result = results.result_of(
            "durability", figures, part=options.part, command=command, before=before, after=after
        )
        print(results.save(result, options.json))
    return 0 if set(outcomes) <= {"passed", "skipped"} and outcomes["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
