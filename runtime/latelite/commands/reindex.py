"""``latelite reindex``: a collection indexed anew, from what it holds."""

from __future__ import annotations

import argparse

from latelite.commands.console import EPILOG, OK, Commands, common, encoding, open_existing, positive, print_report


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "reindex",
        parents=[common(), encoding()],
        help="give a collection another model, pooling or kind of index",
        description="Index a collection anew, from the texts that it holds; for another kind of index alone, from the "
        "stored vectors. Searches go on in the old index until the new one is complete. What is left out stays as it "
        "is. A call that is interrupted changes nothing, and the same call goes on where it stopped.",
        epilog=EPILOG,
    )
    command.add_argument("collection")
    command.add_argument("--index", metavar="KIND", help="kind of index: IVF, HNSW or Exact")
    command.add_argument("--pool-factor", type=positive, metavar="N", help="keep one of N token vectors; 1 keeps all")
    command.add_argument("--model", help="bundle folder, or name of an installed model")
    command.set_defaults(command=_reindex)


def _reindex(options: argparse.Namespace) -> int:
    with open_existing(options.collection, precision=options.precision, threads=options.threads) as collection:
        collection.reindex(
            index=options.index,
            pool_factor=options.pool_factor,
            model=options.model,
            show_progress_bar=options.progress,
        )
        report = {
            "collection": str(collection.folder),
            "documents": len(collection),
            "tokens": collection.tokens,
            "index": collection.index_kind,
            "pool_factor": collection.pool_factor,
            "model": collection.model.manifest.checkpoint["id"],
        }
    text = "{collection}: {documents} documents, {tokens} token vectors, {index}, pool factor {pool_factor}, {model}"
    print_report(options, report, text.format_map(report))
    return OK
