"""A bundle whose int8 graph is what optimum ships, to be measured beside ours.

    python benchmarks/plain_bundle.py --checkpoint models/latelite-colbert-16m -o models/build/plain
    python benchmarks/quality.py --bundle models/build/plain --rows int8 --data ../data/en-xquad

The int8 graph is a plain trace of the checkpoint through onnxruntime's quantize_dynamic, int8 weights per channel;
tokenizer and settings are the bundle's. ``fp32`` is left out.
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import encoders
import onnx
import peers

from latelite.bundle import Bundle
from latelite.files import sha256
from latelite.manifest import MANIFEST_NAME, FileEntry, Graph


def write(checkpoint: Path, bundle: Bundle, folder: Path) -> None:
    """Write the bundle; files of the same names in the folder are replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    graph = bundle.graph("int8")
    with tempfile.TemporaryDirectory() as scratch:
        plain = peers.plain_graph(checkpoint, Path(scratch) / "plain.onnx")
        encoders.quantize_plain(plain, folder / graph.file)
        traced = onnx.load(plain).graph
        inputs, output = tuple(value.name for value in traced.input), traced.output[0].name
    manifest = bundle.manifest.only("int8")
    path = folder / graph.file
    files = {**manifest.files, graph.file: FileEntry(path.stat().st_size, sha256(path))}
    for name in files:
        if name != graph.file:
            shutil.copyfile(bundle.checked(name), folder / name)
    changed = dataclasses.replace(
        manifest,
        inputs=inputs,
        output=output,
        graphs={"int8": Graph(graph.file, "int8", {"graph": "plain"})},
        files=files,
    )
    (folder / MANIFEST_NAME).write_text(changed.to_json(), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True, help="what the bundle was exported from")
    parser.add_argument("--bundle", type=Path, default=Path("models/default-onnx"), help="tokenizer and settings")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FOLDER")
    options = parser.parse_args(arguments)
    write(options.checkpoint, Bundle(options.bundle), options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
