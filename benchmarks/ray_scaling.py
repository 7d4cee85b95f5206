"""Is encoding with Ray's workers as fast as with plain processes, and what does writing shards cost?

    python benchmarks/ray_scaling.py --json benchmarks/results        # in an environment with latelite[ray]

encode    ``plain``: processes that load the model and encode a share of the texts each, one thread each, and keep
          nothing. ``ray``: `latelite.integrations.ray.encode` with as many workers, whose vectors go into Ray's object
          store. By turns. Each side encodes ``--few`` texts and ``--many``; its rate is the difference in texts over
          the difference in seconds, so what starting costs, once a run, is left out; ``start_s`` is that.
shards    `latelite.integrations.ray.write_shards` with as many workers and two shards, in the same way, and what the
          shards take on the disk. ``again_s``: the same run once more, when nothing is left to do.

Ray's workers are no children of this process, so what a result file says of other processes counts them, too.

Texts are docstrings of Python's standard library (or a BEIR folder, ``--data``), those of ``--few`` from all over.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import corpora
import results

from latelite import device
from latelite.models import ColBERT

BUNDLE = Path(__file__).resolve().parent.parent / "models" / "default-onnx"
_PARTS = ("encode", "shards")
_BLOCK = 64
"""Rows of a block. Left to itself, Ray cuts some thousand rows into blocks of a few, as if they were large."""


def plain(texts: list[str], workers: int, precision: Any) -> float:
    """Seconds for ``workers`` processes, from start to end."""
    started = time.perf_counter()
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_encode, args=(texts[number::workers], precision)) for number in range(workers)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        if process.exitcode:
            raise RuntimeError(f"a process ended with status {process.exitcode}.")
    return time.perf_counter() - started


def _encode(texts: list[str], precision: Any) -> None:
    model = ColBERT(BUNDLE, precision=precision, threads=1)
    for first in range(0, len(texts), 64):
        model.encode_document(texts[first : first + 64], show_progress_bar=False)


def through_ray(texts: list[str], workers: int, precision: Any) -> float:
    """Seconds for `encode` over all texts."""
    from latelite.integrations.ray import encode

    dataset = _dataset(texts)
    started = time.perf_counter()
    encoded = encode(dataset, str(BUNDLE), workers=workers, precision=precision)
    rows = sum(each.num_rows() or 0 for each in encoded.iter_internal_ref_bundles())
    if rows != len(texts):
        raise RuntimeError(f"{rows} of {len(texts)} texts came back.")
    return time.perf_counter() - started


def shards(texts: list[str], workers: int, precision: Any) -> dict[str, float]:
    """Seconds for `write_shards`, first and second run, and bytes on disk."""
    from latelite.integrations.ray import write_shards

    dataset = _dataset(texts)
    with tempfile.TemporaryDirectory() as folder:
        times = []
        for _ in range(2):
            started = time.perf_counter()
            write_shards(dataset, folder, BUNDLE, shards=2, workers=workers, precision=precision)
            times.append(time.perf_counter() - started)
        # Every shard has a copy of the model.
        written = [path for path in Path(folder).glob("shard-*/**/*") if path.is_file() and "model" not in path.parts]
        return {"seconds": times[0], "again_s": times[1], "bytes": sum(path.stat().st_size for path in written)}


def _dataset(texts: list[str]) -> Any:
    import ray.data

    rows = [{"id": number, "text": text} for number, text in enumerate(texts)]
    return ray.data.from_items(rows, override_num_blocks=max(len(rows) // _BLOCK, 1)).materialize()


def _rate(few: int, many: int, first: float, second: float) -> dict[str, float]:
    rate = (many - few) / (second - first)
    return {"texts_per_s": round(rate, 1), "start_s": round(first - few / rate, 2)}


def measure(part: str, texts: list[str], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows of one part."""
    few = texts[:: max(len(texts) // options.few, 1)][: options.few]
    rows: list[dict[str, Any]] = []
    for run in range(options.runs):
        for workers in options.workers:
            if part == "encode":
                for side, encode in (("plain", plain), ("ray", through_ray)):
                    times = [encode(each, workers, options.precision) for each in (few, texts)]
                    rows.append({"side": side, "workers": workers, "run": run, **_rate(len(few), len(texts), *times)})
            else:
                found = [shards(each, workers, options.precision) for each in (few, texts)]
                rate = _rate(len(few), len(texts), found[0]["seconds"], found[1]["seconds"])
                grown = (found[1]["bytes"] - found[0]["bytes"]) / (len(texts) - len(few))
                rows.append(
                    {
                        "side": "shards",
                        "workers": workers,
                        "run": run,
                        **rate,
                        "again_s": round(found[1]["again_s"], 2),
                        "bytes_per_text": round(grown, 1),
                    }
                )
            print(part, json.dumps(rows[-1]), flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=_PARTS, action="append", help="default: all")
    parser.add_argument("--workers", type=int, action="append", help="default: 1 and 2")
    parser.add_argument("--few", type=int, default=256)
    parser.add_argument("--many", type=int, default=4608)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--data", type=Path, help="folder in BEIR layout whose documents are encoded")
    parser.add_argument("--json", type=Path, help="folder to save the figures in, with what the machine was doing")
    options = parser.parse_args()
    options.workers = options.workers or [1, 2]
    import ray

    corpus = (corpora.folder(options.data) if options.data else corpora.docstrings()).part(options.many)
    texts = list(corpus.documents.values())
    model = ColBERT(BUNDLE, precision=options.precision)
    tokens = sum(min(count, model.document_room) for count in model.counts(texts))
    # one more than workers, which reading would take
    ray.init(num_cpus=max(options.workers) + 1, include_dashboard=False, logging_level="ERROR")
    ray.data.DataContext.get_current().enable_progress_bars = False
    for part in options.part or _PARTS:
        before = device.state()
        content = {
            "corpus": corpus.name,
            "texts": len(texts),
            "tokens_per_text": round(tokens / len(texts), 1),
            "precision": options.precision,
            "ray": ray.__version__,
            "rows": measure(part, texts, options),
        }
        if options.json:
            command = "python benchmarks/ray_scaling.py " + " ".join(sys.argv[1:])
            result = results.result_of(
                "ray_scaling", content, part=part, command=command, before=before, after=device.state()
            )
            print(results.save(result, options.json))


if __name__ == "__main__":
    main()
