"""What tests/arm/emulation.py runs on the emulated machine, and its counterpart on this one. Only the runtime is used.

    guest.py check|write|read EXCHANGE BUNDLE DOCUMENTS PRECISION

``check``: the machine by itself. ``write``: collections, and what they answer, into EXCHANGE. ``read``: the collections
that another machine wrote there give the same answers here, and can be added to.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from latelite import Collection, cli, demo, doctor
from latelite.errors import MissingExtraError
from latelite.maxsim import maxsim_documents
from latelite.maxsim.plain import plain_maxsim
from latelite.models import ColBERT

KINDS = ("Exact", "IVF")
TOLERANCE = 1e-4
"""Of scores between machines, when both encode the question in fp32."""


def main() -> None:
    """Run one action."""
    action, exchange, bundle, documents, precision = sys.argv[1:]
    if action == "check":
        check(Path(bundle), precision)
    elif action == "write":
        write(Path(exchange), Path(bundle), int(documents))
    else:
        read(Path(exchange), Path(bundle))


def check(bundle: Path, precision: str) -> None:
    """Import, doctor, the choice of a graph, vectors, MaxSim."""
    doctor._TRIAL_SECONDS = 1200  # emulated, on a busy machine
    facts = doctor.facts()
    problems = [finding.text for finding in doctor.findings(facts) if finding.level == "problem"]
    assert not problems, problems
    chosen = ("asimddp",) if precision == "int8" else ()
    assert tuple(facts["int8_flags"]) == chosen, facts["int8_flags"]
    said = next(finding.text for finding in doctor.findings(facts) if "models run in" in finding.text)
    print(f"doctor: {facts['cpu']}, {facts['architecture']}, onnxruntime {facts['onnxruntime']}; {said}")
    assert cli.main(["doctor", "--json"]) == 0
    installed = ColBERT()
    assert installed.precision == precision, installed.precision
    print(f"the installed model runs in {installed.precision}")
    from latelite_export.verify import check as verify

    report = verify(bundle)
    print(f"verification vectors: fp32 differ by {report['fp32']['max_abs_error']}, int8 {report['int8']}")
    texts = [question for _, question in demo.QUESTIONS]
    once, again = installed.encode(texts), ColBERT(threads=2).encode(texts[::-1])[::-1]
    assert all(a.tobytes() == b.tobytes() for a, b in zip(once, again, strict=True))
    print("encoded twice, by one thread and by two: the same bytes")
    _maxsim()
    try:
        from latelite import indexes

        indexes.HNSW("hnsw")
    except MissingExtraError as error:
        print(f"HNSW: {error}")
    else:
        raise AssertionError("hnswlib is not installed here")


def _maxsim() -> None:
    """Against its definition in float64."""
    rng = np.random.default_rng(0)
    worst = 0.0
    for dim in (1, 16, 128, 768):
        query = _unit(rng, 17, dim)
        documents = [_unit(rng, int(length), dim) for length in rng.integers(1, 200, 40)]
        expected = [plain_maxsim(query, document) for document in documents]
        worst = max(worst, float(np.abs(maxsim_documents(query, documents) - expected).max() / len(query)))
    assert worst < 1e-6, worst
    print(f"MaxSim: {worst:.1e} a query token from float64")


def _unit(rng: np.random.Generator, tokens: int, dim: int) -> Any:
    vectors = rng.standard_normal((tokens, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def write(exchange: Path, bundle: Path, documents: int) -> None:
    """A collection of each kind, and its answers."""
    found = dict(list(demo.documents().items())[:documents])
    for kind in KINDS:
        with Collection(exchange / f"{kind}.lt", bundle, index=kind) as collection:
            collection.add(list(found), [text for _, text in found.values()], [{"kind": k} for k, _ in found.values()])
    answers = {kind: _answers(exchange / f"{kind}.lt", bundle) for kind in KINDS}
    (exchange / "answers.json").write_text(json.dumps(answers))
    print(f"{len(found)} documents in {', '.join(KINDS)}")


def read(exchange: Path, bundle: Path) -> None:
    """The same answers; then the collection is verified, added to and verified again."""
    expected = json.loads((exchange / "answers.json").read_text())
    for kind in KINDS:
        worst = 0.0
        for there, here in zip(expected[kind], _answers(exchange / f"{kind}.lt", bundle), strict=True):
            assert [id_ for id_, _ in there] == [id_ for id_, _ in here], (kind, there, here)
            worst = max(worst, *(abs(a - b) for (_, a), (_, b) in zip(there, here, strict=True)))
        assert worst < TOLERANCE, worst
        with Collection(exchange / f"{kind}.lt") as collection:
            collection.verify()
            count = len(collection)
            collection.add(["here"], ["written on this machine"])
            collection.remove([collection.ids[0]])
            collection.verify()
            assert len(collection) == count
            assert collection.search("written on this machine", k=1)[0].id == "here"
        print(f"{kind}: the same hits in the same order for {len(expected[kind])} questions, scores within {worst:.1e}")


def _answers(folder: Path, bundle: Path) -> list[list[tuple[Any, float]]]:
    """By questions in fp32, which are nearly the same everywhere; the collection's own graph may be the int8 one."""
    with Collection(folder, bundle, precision="fp32") as collection:
        return [[(hit.id, hit.score) for hit in collection.search(text, k=10)] for _, text in demo.QUESTIONS]


if __name__ == "__main__":
    main()
