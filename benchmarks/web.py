"""How does an exported collection do in a browser, and does it answer as Python does?

    python benchmarks/web.py --data ../data/* --work models/build/web --prepare     # encodes 25,000 passages: minutes
    python benchmarks/web.py --data ../data/* --work models/build/web --save

Passages are the documents of all sets, evenly chosen and cut after ``--characters`` characters; questions come from all
sets in turn. Collections: ``passages`` (5,000), ``pooled`` (20,000 of half the length, at pool factor 2), and the
demo's.

``agreement``  the same questions, asked of Python and of the JavaScript library in Node: largest difference of a score
               of the same document, and the share of questions with the same ten hits, and in the same order. Where
               scores may differ by .002, so may hits that are no further than that from the tenth: the share with the
               same ten up to those is told, too.
``sensitivity``  the same of Python alone, with and without a change in the last bit of one layer's weights. An int8
               graph rounds its activations at every layer, so that what differs by a bit may round to another step:
               this is the agreement that two correct ways of adding floats can have.
``browser``    Chromium on a site that a plain file server serves, at full speed and with its threads slowed down: bytes
               of the first visit, times until the first answer and until everything is on the device, of warm
               questions, memory, and what kept the page's main thread from answering. `web.mjs` is the browser's side.
``heap``       memory of the page with each collection, by Chromium's own measure (measureUserAgentSpecificMemory).
``offline``    the demo's questions in a new page, after the server was stopped.

Times are in milliseconds, from the question's arrival to its hits, explained, as the page asks.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import beir
import numpy as np
import results

from latelite import Collection, demo, device, models
from latelite.files import sha256
from latelite.manifest import Precision
from latelite.search import Mode
from latelite.web.writer import write_site

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
ASSETS = ROOT / "runtime" / "web" / "node_modules"
PLAYWRIGHT = ROOT / "tests" / "web" / "node_modules" / "playwright-core" / "index.mjs"
MODES: tuple[Mode, ...] = ("hybrid", "semantic")
COLLECTIONS = ("demo", "passages", "pooled")
AGREEMENT: dict[str, tuple[str, Precision]] = {
    "agreement-int8": ("passages", "int8"),
    "agreement-pooled": ("pooled", "int8"),
    "agreement-fp32": ("passages", "fp32"),
}
Answers = dict[str, list[tuple[Any, float]]]
"""Hits (id, score) by mode."""
K = 10
TOLERANCE = 0.002
"""What a score may differ by."""
_AT_ONCE = 256


def passages(sets: Sequence[beir.RetrievalSet], count: int, characters: int) -> dict[str, str]:
    """``count`` documents, evenly chosen from all sets, id -> text."""
    every = {f"{each.name}/{id}": text[:characters] for each in sets for id, text in each.documents.items()}
    items = [(id, text) for id, text in every.items() if text.strip()]
    return dict(items[number * len(items) // count] for number in range(min(count, len(items))))


def questions(sets: Sequence[beir.RetrievalSet], count: int) -> list[str]:
    """Of each set in turn, the first ones of which no two are the same."""
    turns = itertools.zip_longest(*(list(each.queries.values()) for each in sets))
    return list(dict.fromkeys(text for turn in turns for text in turn if text))[:count]


def fill(folder: Path, bundle: Path, texts: dict[str, str], pool_factor: int) -> None:
    """Add what is not there yet: may be interrupted."""
    with Collection(folder, bundle, pool_factor=pool_factor) as collection:
        missing = [id for id in texts if id not in collection]
        for start in range(0, len(missing), _AT_ONCE):
            some = missing[start : start + _AT_ONCE]
            collection.add(some, [texts[id] for id in some], show_progress_bar=False)
            print(f"{folder.name}: {len(collection)} of {len(texts)}", flush=True)
        collection.compact()


def prepare(work: Path, bundle: Path, sets: Sequence[beir.RetrievalSet], options: argparse.Namespace) -> None:
    """Make the collections."""
    work.mkdir(parents=True, exist_ok=True)
    with Collection(work / "demo.lt", bundle) as collection:
        demo.answer(collection, write=lambda _: None)
    fill(work / "passages.lt", bundle, passages(sets, options.passages, options.characters), 1)
    fill(work / "pooled.lt", bundle, passages(sets, options.pooled, options.characters // 2), 2)


def task(name: str, **options: Any) -> Any:
    """What `web.mjs` answers."""
    done = subprocess.run(
        ["node", str(HERE / "web.mjs"), name],
        input=json.dumps(options),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def answers_of(collection: Collection, asked: Sequence[str], k: int = K) -> list[Answers]:
    """Python's answers."""
    return [
        {mode: [(hit.id, hit.score) for hit in collection.search(question, k=k, mode=mode)] for mode in MODES}
        for question in asked
    ]


def compare(answers: Sequence[Answers], others: Sequence[Answers], deeper: Sequence[Answers]) -> dict[str, Any]:
    """How far answers to the same questions are from each other, per mode.

    Args:
        deeper: ``answers`` with more hits, which say how far behind the tenth a document was.
    """
    figures: dict[str, Any] = {"questions": len(answers)}
    for mode in MODES:
        same_hits, ties, same_order, differences = [], [], [], []
        for one, other, more in zip(answers, others, deeper, strict=True):
            scores, known = dict(one[mode]), dict(more[mode])
            ids = [id for id, _ in other[mode]]
            tenth = min(scores.values())
            same_hits.append(set(scores) == set(ids))
            ties.append(all(id in scores or known.get(id, -np.inf) >= tenth - TOLERANCE for id in ids))
            same_order.append(list(scores) == ids)
            differences += [abs(scores[id] - score) for id, score in other[mode] if id in scores]
        figures[mode] = {
            "same_hits": round(float(np.mean(same_hits)), 4),
            "same_hits_up_to_ties": round(float(np.mean(ties)), 4),
            "same_order": round(float(np.mean(same_order)), 4),
            "largest_score_difference": float(f"{max(differences):.3g}"),
            "score_difference_99_percent": float(f"{np.percentile(differences, 99):.3g}"),
            "within_tolerance": round(float(np.mean(np.array(differences) <= TOLERANCE)), 5),
            "mean_score_difference": float(f"{np.mean(differences):.3g}"),
        }
    return figures


def agreement(folder: Path, bundle: Path, site: Path, precision: Precision, asked: Sequence[str]) -> dict[str, Any]:
    """How far JavaScript's answers are from Python's, of one precision."""
    with Collection(folder, models.ColBERT(bundle, precision=precision), read_only=True) as collection:
        write_site(collection, site, precision=precision, assets=ASSETS)
        found = task("agreement", site=str(site), questions=asked, k=K, modes=MODES)
        answers, deeper = answers_of(collection, asked), answers_of(collection, asked, 2 * K)
        return {"collection": folder.stem, "precision": precision, **compare(answers, found, deeper)}


def sensitivity(folder: Path, bundle: Path, asked: Sequence[str]) -> dict[str, Any]:
    """How far Python's answers are from its own when the last bit of one layer's weights is another."""
    with tempfile.TemporaryDirectory() as scratch:
        other = Path(scratch) / "bundle"
        shutil.copytree(bundle, other)
        changed = _change_last_bit(other)
        answers = []
        for each, k in ((bundle, K), (other, K), (bundle, 2 * K)):
            with Collection(folder, models.ColBERT(each, precision="int8"), read_only=True) as collection:
                answers.append(answers_of(collection, asked, k))
    return {"collection": folder.stem, "precision": "int8", "changed": changed, **compare(*answers)}


def _change_last_bit(bundle: Path) -> str:
    """Take the next larger float32 for each weight of the embeddings' layer normalisation; returns its name."""
    import onnx

    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    graph = bundle / manifest["graphs"]["int8"]["file"]
    model = onnx.load(graph)
    weights = next(each for each in model.graph.initializer if each.name.endswith("embeddings.LayerNorm.weight"))
    values = onnx.numpy_helper.to_array(weights)
    weights.CopyFrom(onnx.numpy_helper.from_array(np.nextafter(values, np.float32(np.inf)), weights.name))
    onnx.save(model, graph)
    manifest["files"][graph.name]["sha256"] = sha256(graph)
    manifest["files"][graph.name]["bytes"] = graph.stat().st_size
    (bundle / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return str(weights.name)


def export_all(work: Path) -> None:
    """Sites of all collections."""
    for name in COLLECTIONS:
        with Collection(work / f"{name}.lt", read_only=True) as collection:
            write_site(collection, work / f"{name}-int8", precision="int8", assets=ASSETS)


def visited(site: Path, asked: Sequence[str], slowdown: float) -> dict[str, Any]:
    """What a browser does with a site."""
    index = json.loads((site / "collection.json").read_text(encoding="utf-8"))
    figures = {"documents": index["documents"], "tokens": index["tokens"]}
    with tempfile.TemporaryDirectory() as profile:
        options = {"questions": asked, "slowdown": slowdown, "profile": profile, **_browser()}
        return {**figures, **task("visit", site=str(site), **options)}


def heap(work: Path, asked: Sequence[str]) -> dict[str, Any]:
    """Memory of a page with each collection, before and after questions."""
    found = {}
    for name in COLLECTIONS:
        with tempfile.TemporaryDirectory() as profile:
            found[name] = task("heap", site=str(work / f"{name}-int8"), questions=asked, profile=profile, **_browser())
    return found


def answered_offline(work: Path, screenshots: Path | None) -> list[dict[str, Any]]:
    """The demo's questions and the first titles that a page without a network shows for them."""
    asked = [question for _, question in demo.QUESTIONS]
    with Collection(work / "demo.lt", read_only=True) as collection:
        expected = [[hit.id for hit in collection.search(question, k=3)] for question in asked]
    folder = None if screenshots is None else str(screenshots.resolve())
    with tempfile.TemporaryDirectory() as profile:
        site = str(work / "demo-int8")
        found = task("offline", site=site, questions=asked, profile=profile, screenshots=folder, **_browser())
    return [
        {"question": question, "shown": shown, "as_in_python": shown == ids}
        for question, shown, ids in zip(asked, found, expected, strict=True)
    ]


def _browser() -> dict[str, str]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None or not PLAYWRIGHT.exists():
        raise SystemExit("this needs Chromium, and Playwright: make browser")
    return {"chromium": chromium, "playwright": PLAYWRIGHT.as_uri(), "python": sys.executable}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures and, with ``--json``, write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=Path("models/default-onnx"))
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders in BEIR layout")
    parser.add_argument(
        "--work", type=Path, default=Path("models/build/web"), help="collections and sites are kept here"
    )
    parser.add_argument("--passages", type=int, default=5000)
    parser.add_argument("--pooled", type=int, default=20_000)
    parser.add_argument("--characters", type=int, default=700)
    parser.add_argument("--questions", type=int, default=500, help="of agreement")
    parser.add_argument("--asked", type=int, default=40, help="questions in the browser")
    parser.add_argument("--slowdown", type=float, default=4.0)
    parser.add_argument("--prepare", action="store_true", help="make the collections and their sites, measure nothing")
    parser.add_argument(
        "--only", choices=(*AGREEMENT, "sensitivity", "offline", "heap", *COLLECTIONS), help="measure only this"
    )
    parser.add_argument("--screenshots", type=Path, help="keep pictures of the page without a network here")
    parser.add_argument("--save", action="store_true", help="write a result file, see results.py")
    options = parser.parse_args(arguments)

    sets = [beir.load(folder) for folder in sorted(options.data) if (folder / "corpus.jsonl").exists()]
    work = options.work.resolve()
    if options.prepare:
        prepare(work, options.bundle, sets, options)
        export_all(work)
        return 0
    before = device.state()
    asked = questions(sets, options.questions)
    manifest = models.ColBERT(options.bundle).manifest
    figures: dict[str, Any] = {
        "bundle": {"id": manifest.checkpoint["id"], "fingerprint": manifest.fingerprint},
        "sets": [each.name for each in sets],
        "k": K,
    }
    parts = (options.only,) if options.only else (*AGREEMENT, "sensitivity", *COLLECTIONS, "heap", "offline")
    for part in parts:
        if part in AGREEMENT:
            name, precision = AGREEMENT[part]
            figures[part] = agreement(
                work / f"{name}.lt", options.bundle, work / f"{name}-{precision}", precision, asked
            )
        elif part == "sensitivity":
            figures[part] = sensitivity(work / "passages.lt", options.bundle, asked)
        elif part == "heap":
            figures[part] = heap(work, asked[: options.asked])
        elif part == "offline":
            figures[part] = answered_offline(work, options.screenshots)
        else:
            figures[part] = visited(work / f"{part}-int8", asked[: options.asked], options.slowdown)
    print(json.dumps(figures, indent=1, ensure_ascii=False))
    if options.save:
        command = shlex.join(
            ["python", "benchmarks/web.py", "--data", "DATA/*", *(("--only", options.only) if options.only else ())]
        )
        result = results.result_of(
            "web", figures, part=options.only, command=command, before=before, after=device.state()
        )
        print(results.save(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
