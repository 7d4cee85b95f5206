"""The gate: what the device will run, measured against the checkpoint in PyTorch.

The only module that imports the runtime, since that is what it verifies. The PyTorch side comes from `reference`, which
shares no code with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from latelite.bundle import Bundle
from latelite.errors import BundleCorruptError
from latelite.manifest import PRECISIONS, Manifest, Precision
from latelite.maxsim import maxsim_batch
from latelite.models import ColBERT
from latelite.session import session_options
from latelite_export import texts
from latelite_export.errors import GateError
from latelite_export.ranking import overlap

if TYPE_CHECKING:
    import onnx

    from latelite_export.reference import Reference

Vectors = NDArray[np.float32]
Stage = Callable[[str], None]

GOLDEN_FILE = "verification.npy"
LONGEST = 2048
"""Lengths beyond are not compared: eager attention in PyTorch would take tens of gigabytes at 8192 tokens."""


@dataclass(frozen=True)
class Limits:
    """What a bundle must reach."""

    fp32_max_abs: float = 1e-4
    """Largest difference of any component between the fp32 graph and PyTorch."""
    cosine_mean: float = 0.995
    """Token cosine between int8 and fp32, over all texts."""
    cosine_p1: float = 0.98
    """Its first percentile."""
    top10_overlap: float = 0.95
    """Share of each query's ten best documents by MaxSim that int8 and fp32 have in common, near ties apart (see
    `ranking`)."""


LIMITS = Limits()


@dataclass(frozen=True)
class _Encoded:
    """All gate texts of one language, encoded."""

    language: str
    queries: list[Vectors]
    documents: list[Vectors]


def gate(
    bundle: Path, reference: Reference, *, limits: Limits = LIMITS, stage: Stage = lambda _: None
) -> dict[str, Any]:
    """Measure a bundle against its checkpoint.

    Returns:
        The report that goes into the manifest.

    Raises:
        GateError: a limit is missed; the message says by how much, and where.
    """
    stage("comparing the fp32 graph with PyTorch")
    exact = _encode_device(bundle, "fp32")
    report: dict[str, Any] = {"limits": asdict(limits), "texts": _describe(exact)}
    report["fp32"] = _compare_fp32(bundle, exact, reference)
    _require_fp32(report, limits)
    precisions = Manifest.read(bundle).graphs
    if "int8" in precisions:
        stage("comparing the int8 graph with the fp32 graph")
        report["int8"] = _compare_int8(exact, _encode_device(bundle, "int8"))
        _require_int8(report, limits)
    return report


def golden(bundle: Path) -> tuple[list[dict[str, Any]], Vectors]:
    """What `check` compares with elsewhere: a query and a document per language, by the fp32 graph.

    Returns:
        Texts with their roles and token counts, and all their vectors (tokens, dim) float32.
    """
    model = ColBERT(bundle, precision="fp32")
    entries: list[dict[str, Any]] = []
    vectors: list[Vectors] = []
    for collection in texts.collections():
        for role, text in (("query", collection.queries[0]), ("document", collection.documents[0])):
            encoded = _encode(model, [text], role)[0]
            entries.append({"role": role, "text": text, "tokens": len(encoded)})
            vectors.append(encoded)
    return entries, np.concatenate(vectors)


def check(bundle: Path, *, limits: Limits = LIMITS) -> dict[str, Any]:
    """Verify a bundle where its checkpoint is not: checksums, loading, and the golden vectors it carries.

    Raises:
        BundleError: a file is missing or altered, or ONNX Runtime cannot load it.
        GateError: this machine computes other vectors than the one that exported.
    """
    opened = Bundle(bundle)
    names = [path.name for path in opened.verify()]
    entries, expected = _stored(opened)
    ends = np.cumsum([entry["tokens"] for entry in entries])
    report: dict[str, Any] = {"files": names, "limits": asdict(limits)}
    for precision in PRECISIONS:
        if precision not in opened.manifest.graphs:
            continue
        model = ColBERT(bundle, precision=precision)
        actual = [_encode(model, [entry["text"]], entry["role"])[0] for entry in entries]
        for entry, vectors in zip(entries, actual, strict=True):
            if len(vectors) != entry["tokens"]:
                raise GateError(
                    f"{entry['text']!r} gives {len(vectors)} token vectors here and gave {entry['tokens']} at export: "
                    "the tokenizer behaves differently.",
                    report,
                )
        if precision == "fp32":
            differences = [
                float(np.abs(a - e).max()) for a, e in zip(actual, np.split(expected, ends[:-1]), strict=True)
            ]
            worst = int(np.argmax(differences))
            report["fp32"] = {"max_abs_error": _two_digits(differences[worst]), "worst": entries[worst]["text"]}
            _require_fp32(report, limits)
        else:
            cosines = np.einsum("td,td->t", np.concatenate(actual), expected)
            report[precision] = _cosines(cosines) | {
                "worst": entries[int(np.searchsorted(ends, cosines.argmin(), "right"))]["text"]
            }
            _require_cosines(report, limits)
    return report


def device_session(graph: Path | onnx.ModelProto) -> onnxruntime.InferenceSession:
    """A graph as the device runs it. Products of integers are exact there, so what is measured on one CPU holds on
    another: on an x86 without VNNI, ONNX Runtime's defaults would let sums overflow (token cosine .90 where it is 1).
    """
    content = str(graph) if isinstance(graph, Path) else graph.SerializeToString()
    return onnxruntime.InferenceSession(content, session_options(), providers=["CPUExecutionProvider"])


def _stored(bundle: Bundle) -> tuple[list[dict[str, Any]], Vectors]:
    """What `golden` gave at export."""
    try:
        entries = bundle.manifest.verification["golden"]["texts"]
        vectors: Vectors = np.load(bundle.folder / GOLDEN_FILE, allow_pickle=False)
        complete = vectors.shape == (sum(entry["tokens"] for entry in entries), bundle.manifest.dim)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleCorruptError(f"{bundle.folder} carries no golden vectors to verify with: {error!r}.") from error
    if not complete:
        raise BundleCorruptError(f"{bundle.folder / GOLDEN_FILE} does not hold what the manifest describes.")
    return entries, vectors


def _encode_device(bundle: Path, precision: Precision) -> list[_Encoded]:
    model = ColBERT(bundle, precision=precision)
    return [
        _Encoded(c.language, _encode(model, c.queries, "query"), _encode(model, c.documents, "document"))
        for c in texts.collections()
    ]


def _encode(model: ColBERT, batch: Sequence[str], role: str) -> list[Vectors]:
    encode = model.encode_query if role == "query" else model.encode_document
    vectors: list[Vectors] = encode(list(batch), show_progress_bar=False)
    return vectors


def _describe(exact: Sequence[_Encoded]) -> dict[str, Any]:
    return {
        "languages": [encoded.language for encoded in exact],
        "queries": sum(len(encoded.queries) for encoded in exact),
        "documents": sum(len(encoded.documents) for encoded in exact),
        "document_tokens": sum(len(vectors) for encoded in exact for vectors in encoded.documents),
    }


def _compare_fp32(bundle: Path, exact: Sequence[_Encoded], reference: Reference) -> dict[str, Any]:
    """Largest difference over texts (through tokenizers and settings) and over lengths (the bare graph)."""
    worst, where = 0.0, ""
    per_language = {}
    for collection, encoded in zip(texts.collections(), exact, strict=True):
        largest = 0.0
        for role, batch, vectors in (
            ("query", collection.queries, encoded.queries),
            ("document", collection.documents, encoded.documents),
        ):
            for number, (text, actual) in enumerate(zip(batch, vectors, strict=True)):
                place = f"{collection.language} {role} {number} ({_excerpt(text)})"
                expected = reference.encode(text, is_query=role == "query")
                if actual.shape != expected.shape:
                    raise GateError(
                        f"{place} gives {len(actual)} token vectors, in PyTorch {len(expected)}: the ids differ."
                    )
                difference = float(np.abs(actual - expected).max(initial=0.0))
                largest = max(largest, difference)
                if difference >= worst:
                    worst, where = difference, place
        per_language[collection.language] = _two_digits(largest)
    lengths = _compare_lengths(bundle, reference)
    longest = max(lengths, key=lambda key: lengths[key])
    if lengths[longest] > worst:
        worst, where = lengths[longest], f"{longest} tokens"
    return {
        "max_abs_error": _two_digits(worst),
        "worst": where,
        "languages": per_language,
        "lengths": {key: _two_digits(value) for key, value in lengths.items()},
    }


def _compare_lengths(bundle: Path, reference: Reference) -> dict[str, float]:
    """The bare fp32 graph on sequences of many lengths, up to the longest, and with a mask if it takes one."""
    opened = Bundle(bundle)
    manifest = opened.manifest
    session = device_session(opened.graph_path("fp32"))
    longest = min(manifest.max_positions, LONGEST)
    settings = manifest.settings
    stream = np.concatenate(
        [reference.sample(text, is_query=False).ids for c in texts.collections() for text in c.documents]
    )
    stream = np.resize(stream, longest)

    def difference(ids: NDArray[np.int64], attention: NDArray[np.int64]) -> float:
        feed = {"input_ids": ids, "attention_mask": attention, "token_type_ids": np.zeros_like(ids)}
        (actual,) = session.run(None, {name: feed[name] for name in manifest.inputs})
        return float(np.abs(actual - reference.run(ids, attention)).max())

    result = {}
    for length in sorted({1, 2, 3, 17, 64, settings.query_length, settings.document_length, longest}):
        ids = stream[None, :length]
        result[str(length)] = difference(ids, np.ones_like(ids))
    if "attention_mask" in manifest.inputs:
        length = min(settings.query_length, longest)
        ids = np.stack([stream[:length], stream[-length:]])
        attention = np.ones_like(ids)
        # As many in both: fused graphs take no other batch.
        attention[:, max(1, length // 2) :] = 0
        result[f"2x{length}, half of each unattended"] = difference(ids, attention)
    return result


def _compare_int8(exact: Sequence[_Encoded], approximate: Sequence[_Encoded]) -> dict[str, Any]:
    documents = [vectors for encoded in exact for vectors in encoded.documents]
    rough_documents = [vectors for encoded in approximate for vectors in encoded.documents]
    languages: dict[str, Any] = {}
    everything: list[NDArray[np.float64]] = []
    overlaps: list[float] = []
    strict: list[float] = []
    worst = (2.0, "")
    for collection, fine, rough in zip(texts.collections(), exact, approximate, strict=True):
        batch = (*collection.queries, *collection.documents)
        cosines = [
            np.einsum("td,td->t", a, b, dtype=np.float64)
            for a, b in zip(fine.queries + fine.documents, rough.queries + rough.documents, strict=True)
        ]
        lowest = min(range(len(batch)), key=lambda i: float(cosines[i].mean()))
        place = f"{collection.language} ({_excerpt(batch[lowest])})"
        worst = min(worst, (float(cosines[lowest].mean()), place))
        scores = _scores(fine.queries, documents), _scores(rough.queries, rough_documents)
        shared = overlap(*scores)
        strict += overlap(*scores, 0.0)
        languages[collection.language] = _cosines(np.concatenate(cosines)) | {
            "top10_overlap": round(float(np.mean(shared)), 4),
            "worst": _excerpt(batch[lowest]),
        }
        everything += cosines
        overlaps += shared
    return _cosines(np.concatenate(everything)) | {
        "top10_overlap": round(float(np.mean(overlaps)), 4),
        "top10_overlap_strict": round(float(np.mean(strict)), 4),
        "worst": worst[1],
        "languages": languages,
    }


def _scores(queries: Sequence[Vectors], documents: Sequence[Vectors]) -> Vectors:
    """MaxSim, (queries, documents)."""
    offsets = np.cumsum([0, *(len(document) for document in documents)])
    return maxsim_batch(queries, np.concatenate(documents), offsets)


def _cosines(cosines: NDArray[np.floating[Any]]) -> dict[str, float]:
    return {
        "cosine_mean": round(float(cosines.mean()), 5),
        "cosine_p1": round(float(np.quantile(cosines, 0.01)), 5),
        "cosine_min": round(float(cosines.min()), 5),
    }


def _require_fp32(report: Mapping[str, Any], limits: Limits) -> None:
    found = report["fp32"]
    if not found["max_abs_error"] <= limits.fp32_max_abs:  # also catches NaN
        raise GateError(
            f"the fp32 graph differs from PyTorch by {found['max_abs_error']:.1e}, more than "
            f"{limits.fp32_max_abs:.0e}; worst in {found['worst']}.",
            report,
        )


def _require_cosines(report: Mapping[str, Any], limits: Limits) -> None:
    found = report["int8"]
    for key, name in (("cosine_mean", "mean"), ("cosine_p1", "1st percentile")):
        limit = getattr(limits, key)
        if not found[key] >= limit:
            raise GateError(
                f"the int8 graph's token cosine to fp32 has {name} {found[key]:.4f}, below {limit}; worst in "
                f"{found['worst']}.",
                report,
            )


def _require_int8(report: Mapping[str, Any], limits: Limits) -> None:
    _require_cosines(report, limits)
    found = report["int8"]
    if not found["top10_overlap"] >= limits.top10_overlap:
        language = min(found["languages"], key=lambda key: found["languages"][key]["top10_overlap"])
        raise GateError(
            f"int8 and fp32 agree on {found['top10_overlap']:.1%} of each query's ten best documents, below "
            f"{limits.top10_overlap:.0%}; worst in {language} ({found['languages'][language]['top10_overlap']:.1%}).",
            report,
        )


def _two_digits(value: float) -> float:
    return float(f"{value:.1e}")


def _excerpt(text: str, length: int = 40) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 1]}…"
