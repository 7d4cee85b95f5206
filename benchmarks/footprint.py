"""How much disk space and memory are needed? Disk for runtime, model and index; memory of a process that searches.

    python benchmarks/footprint.py
    python benchmarks/footprint.py --documents 1000 2000 4000 --no-install

Disk: pip installs the runtime's dependencies without extras into a new virtual environment, and the files of each
distribution are measured. Memory: for each kind of index and size, a new process opens a collection of Python's
docstrings and runs 64 queries on one thread. ``anonymous`` memory is private, ``mapped`` memory are pages of files,
which the system may drop and read again, ``peak`` is the maximum resident memory.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import corpora
import process
import search

import latelite
from latelite import indexes, models

QUERIES = 64
_IMPORTS = ("numpy", "onnxruntime", "tokenizers", "latelite.collection")

# Run in the new environment; prints the size of each distribution in bytes.
_SIZES = """
import importlib.metadata, json
sizes = {}
for each in importlib.metadata.distributions():
    files = [file.locate() for file in each.files or ()]
    sizes[f"{each.name} {each.version}"] = sum(file.stat().st_size for file in files if file.is_file())
print(json.dumps(sizes))
"""


def installed_sizes() -> dict[str, int]:
    """Distribution and version -> bytes on disk, including compiled modules, for the runtime without extras."""
    needed = [r for r in importlib.metadata.requires("latelite") or () if "extra ==" not in r]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        python = str(Path(folder) / "bin" / "python")
        pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", *needed]
        subprocess.run(pip, check=True, stdout=sys.stderr)
        found = subprocess.run([python, "-c", _SIZES], check=True, capture_output=True, text=True)
    package = Path(latelite.__file__).parent
    own = sum(path.stat().st_size for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {f"latelite {latelite.__version__}": own, **json.loads(found.stdout)}


def import_ms(runs: int = 5) -> dict[str, float]:
    """Module -> median milliseconds to import it in a new process, after the modules before it."""
    code = "import json, time; marks = []\n" + "".join(
        f"start = time.perf_counter(); import {name}; marks.append(time.perf_counter() - start)\n" for name in _IMPORTS
    )
    taken = []
    for _ in range(runs):
        done = subprocess.run(
            [sys.executable, "-c", code + "print(json.dumps(marks))"], check=True, capture_output=True, text=True
        )
        taken.append(json.loads(done.stdout))
    return {
        name: statistics.median(values) * 1000 for name, values in zip(_IMPORTS, zip(*taken, strict=True), strict=True)
    }


def of_collection(
    kind: str, model: models.ColBERT, corpus: corpora.Corpus, vectors: Sequence[Any], precision: str
) -> dict[str, Any]:
    """Size on disk, and memory of a process that searches."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "benchmark.lt"
        start = time.perf_counter()
        search.collection(folder, model, kind, corpus, vectors)
        seconds = time.perf_counter() - start
        segments = sum(path.stat().st_size for path in (folder / "segments").rglob("*") if path.is_file())
        catalogue = (folder / "documents.sqlite").stat().st_size
        marks = process.started(folder, precision, corpus.queries[:QUERIES])
    texts = sum(len(text.encode()) for text in corpus.documents.values())
    return {
        "documents": len(vectors),
        "tokens": sum(map(len, vectors)),
        "build_seconds": seconds,
        "index_bytes": segments + catalogue - texts,
        "text_bytes": texts,
        "memory_opened": marks["memory_opened"],
        "memory_asked": marks["memory_asked"],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print tables and, with ``--json``, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=Path("models/default-onnx"))
    parser.add_argument("--precision", choices=("int8", "fp32"), default="int8")
    parser.add_argument("--documents", nargs="+", type=int, default=[500, 1000, 2000], help="sizes of collections")
    parser.add_argument("--indexes", nargs="+", default=list(indexes.KINDS), choices=list(indexes.KINDS))
    parser.add_argument("--no-install", action="store_true", help="skip what needs a package index")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args(arguments)

    model = models.ColBERT(options.bundle, precision=options.precision)
    corpus = corpora.docstrings().part(max(options.documents))
    vectors = model.encode_document(list(corpus.documents.values()))
    files = {name: entry.bytes for name, entry in model.manifest.files.items()}
    report: dict[str, Any] = {
        "bundle": {
            "id": model.manifest.checkpoint["id"],
            "fingerprint": model.manifest.fingerprint,
            "graph": model.manifest.graphs[options.precision].file,
            "files": files,
        },
        "precision": options.precision,
        "threads": 1,
        "installed": None if options.no_install else installed_sizes(),
        "import_ms": import_ms(),
        "corpus": corpus.name,
        "indexes": {kind: [] for kind in options.indexes},
    }
    for documents in options.documents:
        part = corpora.Corpus(corpus.name, dict(list(corpus.documents.items())[:documents]), corpus.queries)
        for kind in options.indexes:
            row = of_collection(kind, model, part, vectors[:documents], options.precision)
            report["indexes"][kind].append(row)
            resident = row["memory_asked"]["resident"] / 1e6 if row["memory_asked"] else float("nan")
            print(
                f"{kind:6} {documents:7} documents  {row['index_bytes'] / documents:8.0f} bytes each on the disk  "
                f"{resident:6.0f} MB resident after {QUERIES} queries",
                flush=True,
            )
    for name, size in (report["installed"] or {}).items():
        print(f"{name:24} {size / 1e6:8.1f} MB")
    for name, milliseconds in report["import_ms"].items():
        print(f"import {name:24} {milliseconds:6.0f} ms")
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
