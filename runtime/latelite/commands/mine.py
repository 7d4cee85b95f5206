"""``latelite mine``: make training pairs from documents."""

from __future__ import annotations

import argparse
import io
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from latelite.commands.console import EPILOG, FAILED, MODEL_HELP, OK, Commands, common, encoding, positive, print_report

if TYPE_CHECKING:
    from latelite.models import ColBERT
    from latelite.sources.passage import Passage


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "mine",
        parents=[common(), encoding()],
        help="make training pairs from documents",
        epilog=EPILOG,
        description="Write a file of JSON lines to review, edit and train on: query, positive (the passage that "
        "answers it), negatives (other passages that the model finds for it), kind, document, language. Queries are "
        "made from titles, headings, links, definitions, sentences, spans and keywords of the documents. "
        "`make finetune` trains on such a file.",
    )
    command.add_argument("pairs", help="file to write")
    command.add_argument("paths", nargs="+", help="files, folders, or one collection")
    command.add_argument("--model", help=f"{MODEL_HELP}; its search finds the negatives")
    command.add_argument("--negatives", type=_count, default=4, help="maximum negatives of a pair (default: 4)")
    command.add_argument("--per-passage", type=positive, default=2, help="maximum pairs of a passage (default: 2)")
    command.add_argument("--seed", type=int, default=0, help="seed of random choices (default: 0)")
    command.add_argument("--exclude", action="append", default=[], metavar="PATTERN", help="see `latelite index`")
    command.add_argument("--suffix", action="append", help="see `latelite index`")
    command.set_defaults(command=_mine)


def _mine(options: argparse.Namespace) -> int:
    from latelite.files import atomic_write
    from latelite.mining import mine, write_pairs
    from latelite.mining.negatives import add_negatives

    start = time.monotonic()
    passages, model = _passages(options)
    pairs = mine(passages, per_passage=options.per_passage, seed=options.seed)
    if options.negatives:
        shown = bool(sys.stderr and sys.stderr.isatty()) if options.progress is None else options.progress

        def encoded(done: int, total: int) -> None:
            if shown:
                print(f"\rencoding  {done:,}/{total:,} passages", end="" if done < total else "\n", file=sys.stderr)

        pairs = add_negatives(pairs, passages, model, count=options.negatives, seed=options.seed, on_encoded=encoded)
    with atomic_write(Path(options.pairs).expanduser()) as raw:
        text = io.TextIOWrapper(raw, encoding="utf-8", newline="\n")
        kinds = write_pairs(pairs, text)
        text.detach()
    count = sum(kinds.values())
    report = {
        "pairs": options.pairs,
        "count": count,
        "passages": len(passages),
        "kinds": kinds,
        "seconds": round(time.monotonic() - start, 1),
    }
    said = ", ".join(f"{number:,} {kind}" for kind, number in kinds.items()) or "none"
    print_report(options, report, f"{options.pairs}: {count:,} pairs of {len(passages):,} passages ({said})")
    return OK if count else FAILED


def _passages(options: argparse.Namespace) -> tuple[list[Passage], ColBERT]:
    """The passages of the paths, and the model."""
    from latelite.collection import Collection
    from latelite.models import ColBERT
    from latelite.sources import Passage, folders, passages

    given = {"precision": options.precision, "threads": options.threads}
    if len(options.paths) == 1 and folders.is_collection(options.paths[0]):
        with Collection(options.paths[0], options.model, read_only=True, **given) as collection:
            found = [Passage(str(each.id), each.text or "", dict(each.metadata)) for each in collection]
            return found, collection.model
    model = ColBERT(options.model, **given)
    return list(passages(options.paths, model, exclude=options.exclude, suffixes=options.suffix)), model


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"must be at least 0, not {value}")
    return value
