"""What does writing cost, and does a search wait for it? Beside the storage of another checkout of this repository.

    python benchmarks/storage.py --before CHECKOUT --json benchmarks/results

Both run in processes of their own, by turns, on one thread. ``add_ms``: adding one document of 180 tokens to 10,000 of
60, median and mean; ``fsyncs`` of such a call, from strace where that is installed. ``slowest_search_ms``: the longest
of the searches of a thread while another adds documents one by one for ``--seconds``.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

_RUNTIME = Path(__file__).resolve().parent.parent / "runtime"
_DIM = 128


def documents(count: int, tokens: int, seed: int) -> list[Any]:
    """Random unit vectors, (tokens, dim) each."""
    import numpy as np

    made = np.random.default_rng(seed).standard_normal((count, tokens, _DIM)).astype(np.float32)
    return list(made / np.linalg.norm(made, axis=2, keepdims=True))


def measure(folder: str, seconds: float) -> dict[str, Any]:
    """All figures of the latelite that is imported."""
    from latelite import indexes

    index = indexes.IVF(folder)
    index.add_documents(range(10_000), documents(10_000, 60, 0))
    times = []
    for number, vectors in enumerate(documents(60, 180, 1)):
        start = time.perf_counter()
        index.add_documents([10_000 + number], [vectors])
        times.append(1000 * (time.perf_counter() - start))
    done = threading.Event()

    def write() -> None:
        number = 20_000
        while not done.is_set():
            index.add_documents([number], documents(1, 180, number))
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
        "slowest_search_ms": round(max(searches), 1),
        "searches": len(searches),
        "added_meanwhile": len(index) - 10_060,
    }


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="a checkout to compare with")
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--json", type=Path, help="folder to save the figures in, with what the machine was doing")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        sys.path.insert(0, options.measure[0])
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
            print(json.dumps(measure(str(Path(folder) / "index"), float(options.measure[1]))))
        return
    import results

    from latelite import device

    sides = {"now": _RUNTIME} | ({"before": options.before / "runtime"} if options.before else {})
    rows, before = [], device.state()
    for run in range(options.runs):
        for name, runtime in sides.items():
            command = [sys.executable, __file__, "--measure", str(runtime), str(options.seconds)]
            environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
            rows.append({"storage": name, "run": run, "fsyncs": fsyncs(runtime), **json.loads(done.stdout)})
            print(json.dumps(rows[-1]), flush=True)
    if options.json:
        command_line = "python benchmarks/storage.py " + " ".join(sys.argv[1:])
        figures = {"seconds": options.seconds, "rows": rows}
        result = results.result_of("storage", figures, command=command_line, before=before, after=device.state())
        print(results.save(result, options.json))


if __name__ == "__main__":
    main()
