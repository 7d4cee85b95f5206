"""Turn a public file into a retrieval set in BEIR layout, with checksums.

    python benchmarks/sets/convert.py squad xquad.de.json -o DATA/de-xquad --language de
    python benchmarks/sets/convert.py squad SQuAD_it-test.json.gz -o DATA/it-xquad --language it --only DATA/en-xquad
    python benchmarks/sets/convert.py scifact corpus.jsonl claims_dev.jsonl -o DATA/en-scifact --language en
    python benchmarks/sets/convert.py beir nfcorpus.zip -o DATA/en-nfcorpus --language en
    python benchmarks/sets/convert.py nanobeir NanoBEIR-de -o nano --language de
    python benchmarks/sets/convert.py miracl topics.tsv qrels.tsv docs-0.jsonl.gz -o DATA/de-miracl --language de
    python benchmarks/sets/convert.py verify DATA/*

Nothing is downloaded. ``nanobeir`` writes a folder for each set of the repository, ``LANGUAGE-NAME``, so that
``make bench-full DATA=nano`` gives the table of all of them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this file is run by its path: find the package beside it

from sets import beir_zip, layout, miracl, nanobeir, scifact, squad
from sets.layout import SetError


def main(arguments: Sequence[str] | None = None) -> int:
    """Convert or verify; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["squad", "scifact", "beir", "nanobeir", "miracl", "verify"])
    parser.add_argument("files", nargs="+", type=Path, help="what is read, in the order of the examples above")
    parser.add_argument("-o", "--out", type=Path, help="folder of the set; of all sets for nanobeir")
    parser.add_argument("--language", help="of the queries, for meta.json: de, en, ...")
    parser.add_argument("--source", default="", help="where the files are from, for meta.json: repository and revision")
    parser.add_argument("--only", type=Path, metavar="SET", help="squad: questions of that set's ids alone")
    parser.add_argument("--split", default="test", help="beir: which judgements")
    parser.add_argument("--limit", type=int, help="miracl: passages beside the judged ones")
    options = parser.parse_args(arguments)
    if options.kind != "verify" and (options.out is None or options.language is None):
        parser.error("-o FOLDER and --language are needed")
    try:
        convert(options)
    except (SetError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def convert(options: argparse.Namespace) -> None:
    """Do what the options say."""
    meta = {"lang": options.language, "source": options.source}
    if options.kind == "verify":
        for folder in options.files:
            layout.verify(folder)
            print(f"{folder}: as it was written")
        return
    if options.kind == "nanobeir":
        (repository,) = _files(options, 1)
        for split in nanobeir.splits(repository):
            name = repository.name.removeprefix("NanoBEIR") if split == "train" else split
            folder = options.out / f"{options.language}-{name.lower().replace('_', '').replace('-', '')}"
            read = [path for part in nanobeir.PARTS for path in nanobeir.files(repository, part, split)]
            _write(nanobeir.read(repository, split), folder, meta, read)
        return
    if options.kind == "squad":
        (path,) = _files(options, 1)
        rows = (options.only / "queries.jsonl").read_text(encoding="utf-8").splitlines() if options.only else []
        only = {json.loads(row)["_id"] for row in rows} if options.only else None
        found = squad.read(path, only)
    elif options.kind == "scifact":
        corpus, claims = _files(options, 2)
        found = scifact.read(corpus, claims)
    elif options.kind == "beir":
        (path,) = _files(options, 1)
        found = beir_zip.read(path, options.split)
    else:
        if len(options.files) < 3:
            raise SetError("miracl needs its topics, its qrels and at least one file of passages")
        topics, qrels, *passages = options.files
        found = miracl.read(topics, qrels, passages, options.limit)
        if options.limit is not None:
            meta["note"] = f"judged passages and others up to {options.limit}: not comparable with MIRACL's figures"
    _write(found, options.out, meta, options.files)


def _files(options: argparse.Namespace, count: int) -> list[Path]:
    if len(options.files) != count:
        raise SetError(f"{options.kind} reads {count} file{'s' * (count > 1)}, not {len(options.files)}")
    return list(options.files)


def _write(found: layout.Set, folder: Path, meta: dict[str, str], read: Sequence[Path]) -> None:
    layout.write(found, folder, meta, read)
    print(f"{folder}: {len(found.documents)} documents, {len(found.qrels)} queries")


if __name__ == "__main__":
    sys.exit(main())
