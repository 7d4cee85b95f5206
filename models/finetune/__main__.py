"""Fine-tune a checkpoint on one's own documents; `make finetune` runs it.

    python models/finetune --data DATA --out OUT [--base BASE]

DATA is a folder of documents, a file of JSON lines (query, positive, optionally negatives or scores), or a folder in
BEIR layout. Of a BEIR folder, the training split is used, or the documents alone if there is none.

Exit status: 0 the model is better, 1 failed, 2 wrong usage, 3 the model is not better (it is written nevertheless).
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import time
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "models"), str(ROOT / "benchmarks")]  # this folder is run by its path

from finetune import data, general, quality, report, train  # noqa: E402
from latelite.errors import LateliteError  # noqa: E402
from latelite.files import atomic_write  # noqa: E402
from latelite.mining import read_pairs, write_pairs  # noqa: E402
from latelite.models import ColBERT  # noqa: E402
from latelite_export import export  # noqa: E402

BASE = ROOT / "models" / "latelite-colbert-16m"
BASE_BUNDLE = ROOT / "models" / "default-onnx"
OK, FAILED, NOT_BETTER = 0, 1, 3


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return run(options)
    except (LateliteError, ValueError, OSError) as error:
        print(f"finetune: {error}", file=sys.stderr)
        return FAILED


def run(options: argparse.Namespace) -> int:
    """Read the data, train, export, and compare quality before and after."""
    start = time.monotonic()
    out = Path(options.out)
    if (out / "report.json").exists() and not options.override:
        raise FileExistsError(f"{out} has a finished run; choose another folder, or replace it with --override.")
    if options.override:
        shutil.rmtree(out, ignore_errors=True)
    work = out / "work"
    work.mkdir(parents=True, exist_ok=True)
    settings = train.Settings(**{field.name: getattr(options, field.name) for field in fields(train.Settings)})
    before = _base_bundle(options.base, work)
    model = ColBERT(before)
    found = _data(options, model, work)
    pairs, sets = general.shipped()
    if options.general_pairs:
        pairs = read_pairs(Path(options.general_pairs))
    asked = [*found.questions, *sets, *(data.read_set(Path(each)) for each in options.evaluate)]
    _say(f"{len(found.train):,} pairs to train on, {len(found.held_out):,} held out, {len(pairs):,} general")

    took = train.train(options.base, found.train, found.held_out, pairs, work, settings)
    for each in (work / "checkpoint").iterdir():
        target = out / each.name
        if target.is_dir():
            shutil.rmtree(target)
        shutil.move(str(each), target)
    _say("exporting")
    export(out, out / "bundle", override=True, on_stage=_say)

    differences: dict[str, dict[str, dict[str, Any]]] = {}
    for questions in asked:
        _say(f"measuring {questions.name}: {len(questions.queries)} questions, {len(questions.corpus):,} passages")
        one, other = quality.measure(before, questions), quality.measure(out / "bundle", questions)
        differences[questions.name] = {
            mode: {
                name: quality.compare(one[mode], other[mode], ids).as_json() for name, ids in _groups(questions).items()
            }
            for mode in quality.MODES
        }
    names = {questions.name for questions in sets}
    forgotten = {name: each["semantic"]["all"] for name, each in differences.items() if name in names}
    helped, verdict = report.judge(differences[asked[0].name]["semantic"]["all"], forgotten)
    log = took.pop("log")
    result = {
        "name": out.name,
        "base": _base_name(options.base),
        "data": {
            "name": Path(options.data).name,
            "kind": found.kind,
            "train": len(found.train),
            "held_out": len(found.held_out),
            "general": len(pairs),
        },
        "settings": asdict(settings),
        "training": took,
        "minutes": round((time.monotonic() - start) / 60, 1),
        "helped": helped,
        "verdict": verdict,
        "quality": differences,
    }
    report.write(result, log, out)
    shutil.rmtree(work)
    print(f"{report.table(result)}\n\n{verdict}\n{out}: checkpoint, card and report; {out / 'bundle'}: the bundle")
    return OK if helped else NOT_BETTER


def _data(options: argparse.Namespace, model: ColBERT, work: Path) -> data.Data:
    """Read DATA. A resumed run reuses the negatives that it has already mined."""
    train_file, held_file = work / "train.jsonl", work / "held-out.jsonl"
    known = train_file.exists() and held_file.exists()
    negatives = 0 if known else options.negatives
    found = data.read(Path(options.data), model, negatives=negatives, seed=options.seed, say=_say)
    if known:
        found.train, found.held_out = read_pairs(train_file), read_pairs(held_file)
        return found
    for path, pairs in ((train_file, found.train), (held_file, found.held_out)):
        with atomic_write(path) as raw:
            text = io.TextIOWrapper(raw, encoding="utf-8", newline="\n")
            write_pairs(pairs, text)
            text.detach()
    return found


def _groups(questions: data.Questions) -> dict[str, list[str]]:
    """All questions, and those of each language if there are several languages."""
    languages = questions.languages()
    groups = {"all": list(questions.queries)}
    return groups | languages if len(languages) > 1 else groups


def _base_bundle(base: str, work: Path) -> Path:
    """The bundle of the base: the committed one for the default checkpoint, otherwise exported now."""
    if Path(base).exists() and Path(base).resolve() == BASE:
        return BASE_BUNDLE
    if not (work / "base" / "manifest.json").exists():
        _say(f"exporting {base}")
        export(base, work / "base", override=True)
    return work / "base"


def _base_name(base: str) -> str:
    return BASE.name if Path(base).exists() and Path(base).resolve() == BASE else base


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    defaults = train.Settings()
    parser = argparse.ArgumentParser(
        prog="finetune", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="documents, pairs, or a folder in BEIR layout")
    parser.add_argument("--out", required=True, help="folder for the checkpoint; an interrupted run resumes from it")
    parser.add_argument("--base", default=str(BASE), help="checkpoint or hub id (default: the default checkpoint)")
    parser.add_argument(
        "--evaluate",
        action="append",
        default=[],
        metavar="SET",
        help="set in BEIR layout to measure before and after; repeatable",
    )
    parser.add_argument(
        "--general-pairs",
        metavar="FILE",
        help="pairs of general text in the format of `latelite mine`, against forgetting (default: the exporter's "
        "texts in seven languages)",
    )
    parser.add_argument("--general", type=_share, default=defaults.general, help="share of batches with general pairs")
    parser.add_argument(
        "--negatives", type=int, default=2, help="hard negatives mined for each pair without any (default: 2)"
    )
    parser.add_argument("--minutes", type=float, default=defaults.minutes, help="maximum training time")
    parser.add_argument("--steps", type=int, help="number of steps, instead of --minutes")
    parser.add_argument("--epochs", type=float, default=defaults.epochs)
    parser.add_argument("--batch", type=int, default=defaults.batch)
    parser.add_argument("--rate", type=float, default=defaults.rate, help="peak learning rate")
    parser.add_argument("--temperature", type=float, default=defaults.temperature)
    parser.add_argument(
        "--document-length", type=int, default=defaults.document_length, help="document tokens read in training"
    )
    parser.add_argument("--query-length", type=int, default=defaults.query_length, help="query tokens read in training")
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--override", action="store_true", help="delete OUT first")
    return parser


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 0 and below 1, not {value}")
    return value


if __name__ == "__main__":
    sys.exit(main())
