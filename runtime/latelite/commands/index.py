"""``latelite index``: files into a collection."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from latelite.commands.console import EPILOG, MODEL_HELP, OK, Commands, common, encoding, positive, print_report

if TYPE_CHECKING:
    from latelite.collection import Collection
    from latelite.passages import Passage
    from latelite.progress import Progress


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "index",
        parents=[common(), encoding()],
        help="put files into a collection",
        epilog=EPILOG,
        description="Put text files and JSON lines into a collection. Unchanged passages are not encoded again, so an "
        "interrupted run goes on where it stopped, and a second run only does what changed.",
    )
    command.add_argument("collection", help="folder of the collection; created when it does not exist")
    command.add_argument("paths", nargs="+", type=Path, help="files, or folders to search for text files")
    command.add_argument("--model", help=MODEL_HELP)
    command.add_argument("--index", metavar="KIND", help="index of a new collection (default: IVF, a scan while small)")
    command.add_argument("--pool-factor", type=positive, help="keep 1 in N token vectors of a new collection")
    command.add_argument("--suffix", action="append", help="suffix of files to read in folders; may be repeated")
    command.add_argument("--passage-length", type=positive, help="characters per passage at most")
    command.set_defaults(command=_index)


def _index(options: argparse.Namespace) -> int:
    from latelite import passages
    from latelite.collection import PUBLISH_EVERY, Collection
    from latelite.progress import Progress

    start = time.perf_counter()
    with Collection(
        options.collection,
        options.model,
        precision=options.precision,
        threads=options.threads,
        index=options.index,
        pool_factor=options.pool_factor,
    ) as collection:
        # Three characters a token is on the low side for the seven languages: few passages are cut by the encoder.
        limit = options.passage_length or 3 * collection.model.manifest.settings.document_length
        files = passages.find(options.paths, options.suffix or passages.SUFFIXES)
        # Reading twice costs little beside encoding, finds bad lines before any work, and gives the bar a total.
        total = sum(1 for file in files for _ in passages.read(file, limit=limit))
        before = _ids_by_path(collection)
        counts = {"added": 0, "unchanged": 0, "removed": 0}
        group: list[Passage] = []
        with Progress("indexing", total=total, enabled=options.progress) as bar:
            for file in files:
                for passage in passages.read(file, limit=limit):
                    before.get(file.as_posix(), set()).discard(passage.id)
                    if _is_stored(collection, passage):
                        counts["unchanged"] += 1
                        bar.advance()
                        continue
                    group.append(passage)
                    if len(group) == PUBLISH_EVERY:
                        counts["added"] += _add(collection, group, bar)
                # What is left came from an earlier, longer version of the file.
                if stale := before.get(file.as_posix()):
                    collection.remove(sorted(stale))
                    counts["removed"] += len(stale)
            counts["added"] += _add(collection, group, bar)
        report = {
            "collection": str(collection.folder),
            "files": len(files),
            "documents": len(collection),
            **counts,
            "seconds": round(time.perf_counter() - start, 3),
        }
    print_report(
        options,
        report,
        "{collection}: {documents} documents ({added} added, {unchanged} unchanged, {removed} removed) "
        "from {files} files in {seconds:.1f} s".format_map(report),
    )
    return OK


def _ids_by_path(collection: Collection) -> dict[str, set[str]]:
    ids: dict[str, set[str]] = {}
    for document in collection:
        if path := document.metadata.get("path"):
            ids.setdefault(path, set()).add(str(document.id))
    return ids


def _is_stored(collection: Collection, passage: Passage) -> bool:
    if passage.id not in collection:
        return False
    stored = collection.get(passage.id)
    return stored.text == passage.text and stored.metadata == passage.metadata


def _add(collection: Collection, group: list[Passage], bar: Progress) -> int:
    """Add and empty the group; returns how many it held."""
    collection.add(
        [passage.id for passage in group],
        [passage.text for passage in group],
        [passage.metadata for passage in group],
        on_progress=bar.advance,
    )
    count = len(group)
    group.clear()
    return count
