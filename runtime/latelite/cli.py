"""The ``latelite`` command. Commands import what they need when they run, so that ``--help`` stays instant."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latelite import __version__
from latelite.errors import LateliteError
from latelite.manifest import PRECISIONS

if TYPE_CHECKING:
    from latelite.collection import Collection
    from latelite.models import ColBERT
    from latelite.passages import Passage
    from latelite.progress import Progress

OK, FAILED, USAGE, NOTHING_FOUND = 0, 1, 2, 3
_EPILOG = "exit status: 0 done, 1 failed (one line on standard error says why), 2 wrong usage, 3 search found nothing"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except (LateliteError, OSError, ValueError) as error:
        print(f"latelite: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return 130


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
    _print(
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


def _search(options: argparse.Namespace) -> int:
    from latelite.collection import Collection

    where = dict(pair.split("=", 1) for pair in options.where) or None
    with Collection(
        options.collection, options.model, precision=options.precision, threads=options.threads
    ) as collection:
        start = time.perf_counter()
        hits = collection.search(options.query, k=options.k, where=where)
        seconds = time.perf_counter() - start
    report = {
        "query": options.query,
        "seconds": round(seconds, 6),
        "hits": [
            {"id": hit.id, "score": round(hit.score, 6), "text": hit.text, "metadata": dict(hit.metadata)}
            for hit in hits
        ],
    }
    lines = [
        f"{rank:>3}. {hit.score:7.3f}  {hit.id}\n     {_one_line(hit.text, 160)}" for rank, hit in enumerate(hits, 1)
    ]
    _print(options, report, "\n".join([*lines, f"{len(hits)} hits in {seconds * 1000:.1f} ms"]))
    return OK if hits else NOTHING_FOUND


def _encode(options: argparse.Namespace) -> int:
    import numpy as np

    texts = options.texts or _standard_input_lines()
    vectors = _model(options).encode(
        texts, is_query=options.query, pool_factor=options.pool_factor, show_progress_bar=options.progress
    )
    lengths = [len(v) for v in vectors]
    if options.output:
        # Flat plus offsets, as everywhere in latelite: readable without pickle, any length per text.
        flat = np.concatenate(vectors) if vectors else np.empty((0, 0), dtype=np.float32)
        with Path(options.output).open("wb") as file:
            np.savez(file, vectors=flat, offsets=np.cumsum([0, *lengths], dtype=np.int64))
    report: dict[str, Any] = {"texts": len(texts), "tokens": lengths, "output": options.output}
    if not options.output:
        report["vectors"] = [np.round(v.astype(np.float64), 6).tolist() for v in vectors]
    summary = f"{len(texts)} texts, {sum(lengths)} token vectors"
    _print(options, report, f"{summary} -> {options.output}" if options.output else json.dumps(report["vectors"]))
    return OK


def _rerank(options: argparse.Namespace) -> int:
    from latelite.rank import rerank

    texts = options.texts or _standard_input_lines()
    model = _model(options)
    documents = model.encode_document(texts, show_progress_bar=options.progress)
    (ranked,) = rerank([range(len(texts))], [model.encode_query(options.query)], [documents])
    results = [{"line": int(r["id"]) + 1, "score": round(r["score"], 6), "text": texts[int(r["id"])]} for r in ranked]
    lines = [f"{r['score']:7.3f}  {_one_line(texts[int(r['id'])], 160)}" for r in ranked]
    _print(options, {"query": options.query, "results": results}, "\n".join(lines))
    return OK


def _info(options: argparse.Namespace) -> int:
    from latelite.info import describe

    report = describe(Path(options.path))
    _print(options, report, _table(report))
    return OK


def _doctor(options: argparse.Namespace) -> int:
    from latelite import doctor

    facts = doctor.facts()
    findings = doctor.findings(facts)
    report = {"facts": facts, "findings": [{"level": f.level, "text": f.text} for f in findings]}
    _print(options, report, "\n".join([_table(facts), "", *(f"{f.level:>7}: {f.text}" for f in findings)]))
    return FAILED if any(finding.level == "problem" for finding in findings) else OK


def _model(options: argparse.Namespace) -> ColBERT:
    from latelite.models import ColBERT

    return ColBERT(options.model, precision=options.precision, threads=options.threads)


def _standard_input_lines() -> list[str]:
    return [line.rstrip("\n") for line in sys.stdin if line.strip()]


def _one_line(text: str, length: int) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= length else flat[: length - 1] + "…"


def _table(report: Mapping[str, Any], indent: str = "") -> str:
    """Names and values in two columns; a value with a source shows it in a third, other mappings are indented."""
    width = max(map(len, report), default=0)
    lines = []
    for name, value in report.items():
        if isinstance(value, Mapping) and set(value) == {"value", "source"}:
            lines.append(f"{indent}{name:<{width}}  {_cell(value['value']):<20}  ({value['source']})")
        elif isinstance(value, Mapping) and value:
            lines += [f"{indent}{name}", _table(value, indent + "  ")]
        else:
            lines.append(f"{indent}{name:<{width}}  {_cell(value)}")
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(str, value)) or "-"
    if isinstance(value, Mapping):
        return "-"
    return "-" if value is None else str(value)


def _print(options: argparse.Namespace, report: dict[str, Any], text: str) -> None:
    print(json.dumps(report, ensure_ascii=False) if options.json else text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="latelite", description="Late-interaction search on small computers.", epilog=_EPILOG
    )
    parser.add_argument("--version", action="version", version=f"latelite {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    encoding = argparse.ArgumentParser(add_help=False)
    encoding.add_argument("--precision", choices=PRECISIONS, help="graph to run (default: what suits this CPU)")
    encoding.add_argument("--threads", type=_positive, help="CPU threads (default: all usable)")
    encoding.add_argument(
        "--progress",
        action=argparse.BooleanOptionalAction,
        help="progress on standard error (default: when it is a terminal)",
    )

    command = commands.add_parser(
        "index", parents=[common, encoding], help="put files into a collection", epilog=_EPILOG,
        description="Put text files and JSON lines into a collection. Unchanged passages are not encoded again, so an "
        "interrupted run goes on where it stopped, and a second run only does what changed.",
    )  # fmt: skip
    command.add_argument("collection", help="folder of the collection; created when it does not exist")
    command.add_argument("paths", nargs="+", type=Path, help="files, or folders to search for text files")
    command.add_argument("--model", help="bundle folder; needed to create a collection")
    command.add_argument("--index", metavar="KIND", help="index of a new collection (default: IVF, a scan while small)")
    command.add_argument("--pool-factor", type=_positive, help="keep 1 in N token vectors of a new collection")
    command.add_argument("--suffix", action="append", help="suffix of files to read in folders; may be repeated")
    command.add_argument("--passage-length", type=_positive, help="characters per passage at most")
    command.set_defaults(command=_index)

    command = commands.add_parser("search", parents=[common, encoding], help="search a collection", epilog=_EPILOG)
    command.add_argument("collection")
    command.add_argument("query")
    command.add_argument("-k", type=_positive, default=5, help="number of hits (default: 5)")
    command.add_argument(
        "--where",
        action="append",
        default=[],
        type=_pair,
        metavar="KEY=VALUE",
        help="only documents with this metadata",
    )
    command.add_argument("--model", help="bundle folder (default: the one in the collection)")
    command.set_defaults(command=_search)

    command = commands.add_parser("encode", parents=[common, encoding], help="texts to token vectors", epilog=_EPILOG)
    command.add_argument("texts", nargs="*", help="texts (default: lines of standard input)")
    command.add_argument("--model", required=True, help="bundle folder")
    command.add_argument("--query", action="store_true", help="encode as queries (default: as documents)")
    command.add_argument("--pool-factor", type=_positive, default=1, help="keep 1 in N token vectors of documents")
    command.add_argument(
        "-o", "--output", help=".npz file: vectors (tokens, dim) float32 and offsets (texts + 1) int64"
    )
    command.set_defaults(command=_encode)

    command = commands.add_parser("rerank", parents=[common, encoding], help="order texts by a query", epilog=_EPILOG)
    command.add_argument("query")
    command.add_argument("texts", nargs="*", help="texts (default: lines of standard input)")
    command.add_argument("--model", required=True, help="bundle folder")
    command.set_defaults(command=_rerank)

    command = commands.add_parser(
        "info", parents=[common], help="what a bundle, collection or index holds", epilog=_EPILOG
    )
    command.add_argument("path", help="folder")
    command.set_defaults(command=_info)

    command = commands.add_parser(
        "doctor", parents=[common], help="facts about this machine, with advice", epilog=_EPILOG
    )
    command.set_defaults(command=_doctor)
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {value}")
    return value


def _pair(text: str) -> str:
    if "=" not in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form KEY=VALUE")
    return text


if __name__ == "__main__":
    sys.exit(main())
