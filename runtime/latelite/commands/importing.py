"""``latelite import``: a collection from a Parquet file that ``latelite export`` wrote."""

from __future__ import annotations

import argparse
from pathlib import Path

from latelite.commands.console import EPILOG, MODEL_HELP, OK, Commands, common, print_report


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "import",
        parents=[common()],
        help="make a collection from Parquet, without encoding",
        description="Add the documents of a Parquet file that `latelite export --to parquet` wrote to a collection, "
        "which is made where there is none. Nothing is encoded: the file holds the token vectors, and its model must "
        "be the collection's. Ids that are there already get the file's text, metadata and vectors, so an import that "
        "was interrupted is run again.",
        epilog=EPILOG,
    )
    command.add_argument("file", type=Path, help="Parquet file, or folder of such files")
    command.add_argument("collection", type=Path, help="folder; the two may be given in either order")
    command.add_argument("--model", help=f"of a new collection: {MODEL_HELP}")
    command.add_argument("--index", metavar="KIND", help="index of a new collection (default: IVF, a scan while small)")
    command.add_argument(
        "--progress",
        action=argparse.BooleanOptionalAction,
        help="progress on standard error (default: when it is a terminal)",
    )
    command.set_defaults(command=_import)


def _import(options: argparse.Namespace) -> int:
    from latelite.collection import Collection
    from latelite.collection_folder import HEADER_NAME
    from latelite.default_model import resolve
    from latelite.integrations import parquet
    from latelite.models import ColBERT
    from latelite.progress import Progress

    source, folder = options.file.expanduser(), options.collection.expanduser()
    if (source / HEADER_NAME).exists() or (not source.exists() and folder.is_file()):
        source, folder = folder, source
    origin = parquet.Origin.read(parquet.files(source)[0])
    model: str | ColBERT | None = options.model
    pool_factor = None
    if not (folder / HEADER_NAME).exists():
        model = ColBERT(resolve(options.model))
        origin.check_fits(source, model)  # before a folder is made
        pool_factor = origin.pool_factor
    with Collection(folder, model, index=options.index, pool_factor=pool_factor) as collection:
        before = len(collection)
        with Progress("adding documents", total=parquet.count(source), enabled=options.progress) as bar:
            imported = parquet.read(source, collection, on_progress=bar.advance)
        report = {
            "collection": str(folder),
            "file": str(source),
            "imported": imported,
            "added": len(collection) - before,
            "documents": len(collection),
        }
    text = "{collection}: {imported} documents from {file}, {added} of them new; {documents} in all"
    print_report(options, report, text.format_map(report))
    return OK
