"""``latelite encode``: encode texts to token vectors."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from latelite.commands.console import (
    EPILOG,
    MODEL_HELP,
    OK,
    Commands,
    common,
    encoding,
    load_model,
    positive,
    print_report,
    standard_input_lines,
)


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "encode",
        parents=[common(), encoding()],
        help="encode texts to token vectors",
        epilog=EPILOG,
    )
    command.add_argument("texts", nargs="*", help="texts (default: lines of standard input)")
    command.add_argument("--model", help=MODEL_HELP)
    command.add_argument("--query", action="store_true", help="encode as queries (default: as documents)")
    command.add_argument("--pool-factor", type=positive, default=1, help="keep 1 in N token vectors of documents")
    command.add_argument(
        "-o", "--output", help=".npz file: vectors (tokens, dim) float32 and offsets (texts + 1) int64"
    )
    command.set_defaults(command=_encode)


def _encode(options: argparse.Namespace) -> int:
    import numpy as np

    texts = options.texts or [line for _, line in standard_input_lines()]
    vectors = load_model(options).encode(
        texts, is_query=options.query, pool_factor=options.pool_factor, show_progress_bar=options.progress
    )
    lengths = [len(v) for v in vectors]
    if options.output:
        # Concatenated vectors and offsets, as everywhere in latelite: no pickle, any length per text.
        flat = np.concatenate(vectors) if vectors else np.empty((0, 0), dtype=np.float32)
        with Path(options.output).open("wb") as file:
            np.savez(file, vectors=flat, offsets=np.cumsum([0, *lengths], dtype=np.int64))
    report: dict[str, Any] = {"texts": len(texts), "tokens": lengths, "output": options.output}
    if not options.output:
        report["vectors"] = [np.round(v.astype(np.float64), 6).tolist() for v in vectors]
    summary = f"{len(texts)} texts, {sum(lengths)} token vectors"
    print_report(options, report, f"{summary} -> {options.output}" if options.output else json.dumps(report["vectors"]))
    return OK
