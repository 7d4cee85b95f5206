"""``latelite reindex``: change a collection's model, pooling or kind of index."""

from __future__ import annotations

import argparse

from latelite.commands.console import EPILOG, OK, Commands, common, encoding, open_existing, positive, print_report


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "reindex",
        parents=[common(), encoding()],
        help="change a collection's model, pooling or kind of index",
        description="Rebuild the index of a collection from its stored texts or, if only the kind of index changes, "
        "from its stored vectors. Searches use the old index until the new one is complete. Options that are not given "
        "keep their values. An interrupted call changes nothing, and the same call resumes it.",
        epilog=EPILOG,
    )
    command.add_argument("collection")
    command.add_argument("--index", metavar="KIND", help="kind of index: IVF, HNSW or Exact")
    command.add_argument("--pool-factor", type=positive, metavar="N", help="keep 1 in N token vectors; 1 keeps all")
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
