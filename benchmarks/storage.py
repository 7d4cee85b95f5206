"""What does keeping documents cost? Beside the storage of another checkout of this repository, by turns, on one thread.

    python benchmarks/storage.py --before CHECKOUT --json benchmarks/results

writing   ``add_ms``: adding one document of 180 tokens to 10,000 of 60, median and mean; ``fsyncs`` of such a call,
          from strace where that is installed. ``slowest_search_ms``: the longest of the searches of a thread while
          another adds documents one by one for ``--seconds``.
reading   1.4 million tokens in IVF: ``open_ms`` and ``first_search_ms`` in a new process (with a warm page cache),
          then p50 and p95 of the searches.
memory    Peak resident size, MiB, of a process that loads the default model of its checkout, encodes some paragraphs
          with it, and indexes 100,000 paragraphs of 60 tokens, or 512 texts of 8,192, as a collection. Their vectors
          are made: what the encoder needs for a text does not depend on how many there are, and is no part of these
          figures.
recent    ``add_ms`` by how many tokens wait in the catalogue before they become a segment.

Token vectors are made: 4,000 directions with noise around them, as the tokens of a corpus lie around its words.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parent.parent
_DIM = 128
_WORDS = 4_000
_PARTS = ("writing", "reading", "memory", "recent")
_WAITING = (1024, 2048, 4096, 8192, 16_384)


def documents(count: int, tokens: int, seed: int) -> list[Any]:
    """Unit vectors, (tokens, dim) each."""
    import numpy as np

    words = np.random.default_rng(7).standard_normal((_WORDS, _DIM)).astype(np.float32)
    rng = np.random.default_rng([8, seed])
    made = []
    for _ in range(count):
        # Frequent words are much more frequent than rare ones.
        chosen = np.minimum(rng.zipf(1.3, tokens) - 1, _WORDS - 1)
        vectors = words[chosen] + 0.5 * rng.standard_normal((tokens, _DIM)).astype(np.float32)
        made.append(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    return made


def build_writing(folder: str) -> None:
    from latelite import indexes

    index = indexes.IVF(folder)
    for start in range(0, 10_000, 1000):
        index.add_documents(range(start, start + 1000), documents(1000, 60, start))


def measure_writing(folder: str, seconds: float) -> dict[str, Any]:
    from latelite import indexes

    index = indexes.IVF(folder)
    times = add_times(index, 60)
    done = threading.Event()
    new = documents(64, 180, 3)

    def write() -> None:
        number = 20_000
        while not done.is_set():
            index.add_documents([number], [new[number % len(new)]])
            number += 1

    searches = []
    (query,) = documents(1, 29, 2)
    index([query], k=10)
    writer = threading.Thread(target=write)
    writer.start()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        index([query], k=10)
        searches.append(1000 * (time.perf_counter() - start))
    done.set()
    writer.join()
    return {
        "add_ms_median": round(statistics.median(times), 2),
        "add_ms_mean": round(statistics.mean(times), 2),
        "search_ms_median": round(statistics.median(searches), 2),
        "search_ms_p99": round(sorted(searches)[len(searches) * 99 // 100], 1),
        "slowest_search_ms": round(max(searches), 1),
        "searches": len(searches),
        "added_meanwhile": len(index) - 10_000 - len(times),
    }


def add_times(index: Any, count: int) -> list[float]:
    """Milliseconds of each of so many calls that add one document."""
    times = []
    for number, vectors in enumerate(documents(count, 180, 1)):
        start = time.perf_counter()
        index.add_documents([10_000 + number], [vectors])
        times.append(1000 * (time.perf_counter() - start))
    return times


def build_reading(folder: str) -> None:
    from latelite import indexes

    index = indexes.IVF(folder)
    for start in range(0, 5200, 400):
        index.add_documents(range(start, start + 400), documents(400, 270, start))
    index.compact()


def measure_reading(folder: str, seconds: float) -> dict[str, Any]:
    from latelite import indexes

    queries = documents(200, 29, 5)
    start = time.perf_counter()
    index = indexes.IVF(folder)
    opened = time.perf_counter()
    index([queries[0]], k=10)
    answered = time.perf_counter()
    times = []
    for query in queries:
        begun = time.perf_counter()
        index([query], k=10)
        times.append(1000 * (time.perf_counter() - begun))
    return {
        "tokens": index.tokens if hasattr(index, "tokens") else None,
        "open_ms": round(1000 * (opened - start), 1),
        "first_search_ms": round(1000 * (answered - opened), 1),
        "search_ms_p50": round(statistics.median(times), 2),
        "search_ms_p95": round(sorted(times)[len(times) * 95 // 100], 2),
    }


def measure_memory(folder: str, seconds: float) -> dict[str, Any]:
    """Each corpus in a process of its own."""
    code = f"import sys; sys.path[:0] = {sys.path[:2]!r}; import storage; print(storage.peak(*sys.argv[1:]))"
    found = {}
    for name, count, tokens in (("paragraphs", 100_000, 60), ("long_texts", 512, 8192)):
        command = [sys.executable, "-c", code, f"{folder}-{name}", str(count), str(tokens)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found[f"{name}_mib"] = int(done.stdout.split()[-1])
    return found


def peak(folder: str, count: str, tokens: str) -> int:
    import latelite
    from latelite import Collection
    from latelite.models import ColBERT

    number, length = int(count), int(tokens)
    words = "the model reads many words about bread and trains in a town by the sea "
    texts = [f"{i} " + (words * (length // 12 + 1))[: 5 * length] for i in range(min(number, 1000))]
    paragraphs = [(words * 5)[: 280 + i] for i in range(64)]

    class Encoder(ColBERT):
        """The default model, whose vectors of the corpus are made."""

        def encode_document(self, sentences: Any, **options: Any) -> Any:
            return [made[i % len(made)] for i in range(len(sentences))] if made else super().encode_document(sentences)

    made: list[Any] = []
    model = Encoder(Path(latelite.__file__).parents[2] / "models" / "default-onnx", threads=1)
    model.encode_document(paragraphs)
    made = documents(64 if length < 1000 else 4, length, 1)
    made = [vectors.copy() for vectors in made]
    with Collection(folder, model) as collection:
        for start in range(0, number, 10_000):
            ids = range(start, min(start + 10_000, number))
            collection.add(ids, [texts[i % len(texts)] for i in ids], show_progress_bar=False)
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) // 1024  # type: ignore[index]


def measure_recent(folder: str, seconds: float) -> dict[str, Any]:
    """The thresholds by turns, on copies of the same index."""
    from latelite import indexes

    try:
        from latelite.storage import writing
    except ImportError:
        return {}
    found = {}
    for waiting in _WAITING:
        writing.RECENT_TOKENS = waiting
        copy = shutil.copytree(folder, f"{folder}-{waiting}")
        times = add_times(indexes.IVF(copy), 240)
        (query,) = documents(1, 29, 2)
        index = indexes.IVF(copy)
        index([query], k=10)
        searches = []
        for _ in range(30):
            start = time.perf_counter()
            index([query], k=10)
            searches.append(1000 * (time.perf_counter() - start))
        found[str(waiting)] = {
            "add_ms_median": round(statistics.median(times), 2),
            "add_ms_mean": round(statistics.mean(times), 2),
            "search_ms": round(statistics.median(searches), 2),
        }
        shutil.rmtree(copy)
    return found


def fsyncs(runtime: Path) -> int | None:
    """Of one call that adds one document, the second of its process; None without strace."""
    if shutil.which("strace") is None:
        return None
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[1]); import numpy as np; from latelite import indexes\n"
        "index = indexes.IVF(sys.argv[2])\n"
        "for name in ('first', 'second'):\n"
        "    os.write(2, name.encode())\n"
        "    index.add_documents([name], [np.ones((60, 128), np.float32)])\n"
    )
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        command = ["strace", "-f", "-e", "trace=fsync,fdatasync,write", sys.executable, "-c", code, str(runtime)]
        done = subprocess.run([*command, folder], check=True, capture_output=True, text=True)
    second = done.stderr.partition('write(2, "second"')[2]
    return len(re.findall(r"\bf(?:data)?sync\(", second))


def run(name: str, part: str, folder: Path, runtime: Path, options: argparse.Namespace) -> dict[str, Any]:
    """One figure of one side, in processes of their own."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    builder = {"recent": "writing"}.get(part, part)
    if f"build_{builder}" in globals() and not (folder / name / builder).exists():
        command = [sys.executable, __file__, "--child", f"build_{builder}", str(runtime), str(folder / name / builder)]
        subprocess.run(command, check=True, env=environment)
    place = folder / name / builder
    if part == "writing":
        place = Path(shutil.copytree(place, folder / f"{name}-copy", dirs_exist_ok=True))
    child = [sys.executable, __file__, "--child", f"measure_{part}", str(runtime), str(place), str(options.seconds)]
    done = subprocess.run(
        [*shlex.split(options.under), *child], check=True, stdout=subprocess.PIPE, text=True, env=environment
    )
    shutil.rmtree(folder / f"{name}-copy", ignore_errors=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures | ({"fsyncs": fsyncs(runtime)} if part == "writing" else {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=_PARTS, action="append", help="default: all")
    parser.add_argument("--before", type=Path, help="a checkout to compare with")
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--under", default="", help="a command that each measurement is run under, as nice or taskset")
    parser.add_argument("--folder", type=Path, help="keep what is built here, and take it up again")
    parser.add_argument("--json", type=Path, help="folder to save the figures in, with what the machine was doing")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, runtime, *rest = options.child
        sys.path.insert(0, runtime)
        answer = globals()[name](*rest[:1], *map(float, rest[1:]))
        if answer is not None:
            print(json.dumps(answer))
        return
    import results

    from latelite import device

    sides = {"now": _ROOT / "runtime"} | ({"before": options.before.resolve() / "runtime"} if options.before else {})
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as temporary:
        folder = options.folder or Path(temporary)
        for part in options.part or _PARTS:
            rows, before = [], device.state()
            for number in range(options.runs):
                for name, runtime in sides.items():
                    figures = run(name, part, folder, runtime, options)
                    if figures:
                        rows.append({"storage": name, "run": number, **figures})
                        print(part, json.dumps(rows[-1]), flush=True)
            if options.json:
                command = "python benchmarks/storage.py " + " ".join(sys.argv[1:])
                content = {"seconds": options.seconds, "rows": rows}
                result = results.result_of(
                    "storage", content, part=part, command=command, before=before, after=device.state()
                )
                print(results.save(result, options.json))


if __name__ == "__main__":
    main()
