"""How does `latelite index` cope with real folders? Does it finish, do its counts add up, time, memory, second run.

    python benchmarks/folders.py /usr/share/doc /usr/share/man
    python benchmarks/folders.py /usr/share/doc /usr/share/man --encoder stand-in:4
    python benchmarks/folders.py --text 500

Each run is a separate process. ``first_seconds`` and ``second_seconds`` are wall-clock time, ``*_cpu_seconds`` the
process's time on all cores; ``peak`` is its maximum resident memory in bytes, including mapped files of the model.

``--encoder stand-in:4`` replaces the encoder's inference by four vectors per passage, chosen by a hash of its text.
Everything else (loading the model, reading, cutting by the model's tokens, words, storage) is unchanged. The first run
is then faster than with the encoder, so that the second run's share of its time is an upper bound. With as many vectors
as a passage has tokens, memory and disk space are those of a real run.

``--text MB`` writes a plain text file of that size and indexes it, after a tenth of it for comparison. ``--cut`` only
cuts it, counting words instead of tokens, which shows the memory of reading and cutting alone.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import process
import results

from latelite import cli, device, models, texts
from latelite.sources import cutter, folders, roots, target
from latelite.sources.formats import plain

_TABLE = 4096  # number of different vectors of the stand-in
_REASONS = 12  # number of kinds of problems in the result


class StandIn:
    """`latelite.texts.encode` without inference: ``vectors`` vectors for each passage."""

    def __init__(self, vectors: int) -> None:
        self._vectors = vectors
        self._table: np.ndarray | None = None

    def __call__(
        self, model: models.ColBERT, batch: Sequence[texts.Text], group: texts.EncodedTexts, *, pool_factor: int
    ) -> None:
        if self._table is None:
            table = np.random.default_rng(0).standard_normal((_TABLE, model.dim)).astype(np.float32)
            self._table = table / np.linalg.norm(table, axis=1, keepdims=True)
        for text in batch:
            start = zlib.crc32(text.text.encode("utf-8", "surrogatepass")) % (_TABLE - self._vectors)
            group.arrays.append(self._table[start : start + self._vectors])
            group.words.append(model.analyzer.ids(text.text))
        group.cut += [False] * len(batch)
        group.pooled += [None] * len(batch)
        group.texts += batch


def child(encoder: str, arguments: Sequence[str]) -> None:
    """Run the command, and append its time and memory to its report."""
    if encoder != "default":
        target.encode = StandIn(int(encoder.removeprefix("stand-in:")))  # type: ignore[attr-defined]
    status = cli.main(["index", *arguments, "--json"])
    used = resource.getrusage(resource.RUSAGE_SELF)
    memory = process.memory() or {}
    print(json.dumps({"status": status, "cpu": used.ru_utime + used.ru_stime, "peak": memory.get("peak")}))


def run_index(encoder: str, arguments: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run the command; its report, and its time and memory."""
    start = time.monotonic()
    command = [sys.executable, __file__, "--child", encoder, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    seconds = time.monotonic() - start
    report, _, took = done.stdout.strip().rpartition("\n")
    return json.loads(report), {"seconds": round(seconds, 2), **json.loads(took)}


def adds_up(first: dict[str, Any], second: dict[str, Any], found: int) -> list[str]:
    """Inconsistencies of both reports with each other and with the files found by a walk."""
    failed = {each["path"].partition(", ")[0] for each in first["failed"]}
    wrong = []
    whole = first["files"] + len(first["skipped"]) + len(failed - set(_indexed_in_part(first, failed)))
    if whole != found:
        wrong.append(f"{found} files found, {whole} accounted for")
    if first["documents"] != first["added"]:
        wrong.append(f"{first['documents']} documents, {first['added']} added")
    if second["documents"] != first["documents"] or second["added"] or second["removed"]:
        wrong.append(f"the second run changed something: {second['added']} added, {second['removed']} removed")
    if second["unchanged"] + second["moved"] != first["added"]:
        wrong.append(f"{second['unchanged']} unchanged of {first['added']}")
    return wrong


def _indexed_in_part(report: dict[str, Any], failed: set[str]) -> Iterator[str]:
    """Files that count as indexed although a part of them could not be read."""
    for each in report["failed"]:
        path, comma, _ = each["path"].partition(", ")
        if comma and path in failed:
            yield path


def folders_row(paths: Sequence[str], exclude: Sequence[str], encoder: str, bundle: Path, work: Path) -> dict[str, Any]:
    """Index folders twice."""
    found = sum(
        1
        for argument in roots.resolve(paths)
        for _ in folders.find(argument.location, exclude=exclude, leave_out=[str(work / "folders.lt")])
    )
    options = [str(work / "folders.lt"), *paths, *(f"--exclude={each}" for each in exclude), f"--model={bundle}"]
    first, took = run_index(encoder, options)
    print({"files": first["files"], "documents": first["documents"], **took}, flush=True)
    second, again = run_index(encoder, options)
    row = {
        "encoder": encoder,
        "paths": list(paths),
        "exclude": list(exclude),
        "found": found,
        **{name: first[name] for name in ("files", "documents", "added", "files_new")},
        "skipped": len(first["skipped"]),
        "skipped_because": _reasons(first["skipped"]),
        "failed": len(first["failed"]),
        "failed_because": _reasons(first["failed"]),
        "does_not_add_up": adds_up(first, second, found),
        "statuses": [took["status"], again["status"]],
        "first_seconds": took["seconds"],
        "first_cpu_seconds": round(took["cpu"], 1),
        "second_seconds": again["seconds"],
        "second_cpu_seconds": round(again["cpu"], 1),
        "second_share": round(again["seconds"] / took["seconds"], 4),
        "second_cpu_share": round(again["cpu"] / took["cpu"], 4),
        "first_peak": took["peak"],
        "second_peak": again["peak"],
        "collection_bytes": sum(each.stat().st_size for each in (work / "folders.lt").rglob("*") if each.is_file()),
    }
    print(row, flush=True)
    return row


def _reasons(problems: Sequence[dict[str, str]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for each in problems:
        counts[each["reason"]] = counts.get(each["reason"], 0) + 1
    return dict(sorted(counts.items(), key=lambda pair: -pair[1])[:_REASONS])


def write_text(path: Path, megabytes: float) -> None:
    """Write paragraphs of random words."""
    rng = random.Random(1)
    words = [f"{a}{b}{c}" for a in ("ba", "ko", "tri", "le") for b in ("na", "ri", "so") for c in ("", "n", "st", "le")]
    left = megabytes * 1e6
    with path.open("w", encoding="utf-8") as file:
        while left > 0:
            some = [" ".join(rng.choices(words, k=12)).capitalize() + f" {rng.randrange(10**6)}." for _ in range(5)]
            left -= file.write(" ".join(some) + "\n\n")


def cut_text(path: str) -> None:
    """Cut a file, counting words instead of tokens, and print time and memory."""
    start = time.process_time()
    before = (process.memory() or {}).get("resident")
    with Path(path).open(encoding="utf-8") as text:
        passages = sum(1 for _ in cutter.cut(plain.read(text), lambda some: [len(t.split()) for t in some], limit=120))
    peak = (process.memory() or {}).get("peak")
    seconds = round(time.process_time() - start, 1)
    print(json.dumps({"passages": passages, "cpu_seconds": seconds, "resident_before": before, "peak": peak}))


def text_rows(megabytes: float, encoder: str, bundle: Path, work: Path, *, only_cut: bool) -> Iterator[dict[str, Any]]:
    """One row for a tenth of the size, and one for all of it."""
    for size in (megabytes / 10, megabytes):
        path = work / f"{size:g}.txt"
        write_text(path, size)
        if only_cut:
            command = [sys.executable, __file__, "--child-cut", str(path)]
            row = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
            row = {"megabytes": size, "encoder": None, **row}
        else:
            report, took = run_index(encoder, [str(work / f"{size:g}.lt"), str(path), f"--model={bundle}"])
            row = {"megabytes": size, "encoder": encoder, "passages": report["added"], **took}
        print(row, flush=True)
        yield row
        path.unlink()


def _encoder(text: str) -> str:
    if text != "default" and not re.fullmatch(r"stand-in:[0-9]+", text):
        raise argparse.ArgumentTypeError(f"must be default or stand-in:VECTORS, not {text}")
    return text


def main() -> None:
    """Measure, print, and save the result."""
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], sys.argv[3:])
        return
    if sys.argv[1:2] == ["--child-cut"]:
        cut_text(sys.argv[2])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", help="folders")
    parser.add_argument("--exclude", action="append", default=[], metavar="PATTERN")
    parser.add_argument("--encoder", type=_encoder, default="default", help="default, or stand-in:VECTORS")
    parser.add_argument("--bundle", type=Path, default=Path("models/default-onnx"))
    parser.add_argument("--text", type=float, metavar="MB", help="a text file of this size")
    parser.add_argument("--cut", action="store_true", help="with --text: only cut the file, do not index it")
    parser.add_argument("--part", help="name of this result among those of the same day")
    parser.add_argument("--output", type=Path, help="folder of the result (default: benchmarks/results)")
    options = parser.parse_args()
    before = device.state()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="folders-") as scratch:
        work = Path(scratch)
        if options.paths:
            bundle = options.bundle
            figures["folders"] = [folders_row(options.paths, options.exclude, options.encoder, bundle, work)]
        if options.text:
            rows = text_rows(options.text, options.encoder, options.bundle, work, only_cut=options.cut)
            figures["text"] = list(rows)
    command = "python benchmarks/folders.py " + " ".join(sys.argv[1:])
    result = results.result_of(
        "folders", figures, part=options.part, command=command, before=before, after=device.state()
    )
    print(results.save(result, options.output) if options.output else results.save(result))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
