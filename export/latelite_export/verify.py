"""The gate: compares the device's runtime with the checkpoint in PyTorch.

The only module that imports the runtime, which it verifies. The PyTorch side is `reference`, which shares no code with
the runtime.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from latelite.bundle import Bundle
from latelite.errors import BundleCorruptError
from latelite.manifest import PRECISIONS, Manifest, Precision
from latelite.models import ColBERT
from latelite.session import session_options
from latelite_export import library, texts
from latelite_export.comparison import (
    LIMITS,
    Encoded,
    Limits,
    compare_int8,
    cosines,
    excerpt,
    require_cosines,
    require_fp32,
    require_int8,
    two_digits,
)
from latelite_export.errors import GateError
from latelite_export.texts import Collection

if TYPE_CHECKING:
    import onnx

    from latelite_export.reference import Reference

Vectors = NDArray[np.float32]
Stage = Callable[[str], None]

GOLDEN_FILE = "verification.npy"
LONGEST = 2048
"""Maximum length in tokens at which vectors are compared: PyTorch's eager attention takes tens of gigabytes at 8192."""


def gate(
    bundle: Path,
    reference: Reference,
    *,
    collections: Sequence[Collection] | None = None,
    limits: Limits = LIMITS,
    stage: Stage = lambda _: None,
) -> dict[str, Any]:
    """Compare a bundle with its checkpoint: fp32 on all texts, int8 on the half not used to choose its plan.

    Args:
        bundle: folder of the bundle.
        reference: the checkpoint in PyTorch.
        collections: the texts; None: the exporter's, in seven languages.
        limits: the limits to meet.
        stage: progress callback.

    Returns:
        The report that goes into the manifest.

    Raises:
        GateError: a limit is missed; the message says by how much and where.
    """
    collections = texts.collections() if collections is None else collections
    stage("comparing the fp32 graph with PyTorch")
    exact = _encode_device(bundle, "fp32", collections)
    report: dict[str, Any] = {"limits": asdict(limits), "texts": _describe(exact)}
    report["fp32"] = _compare_fp32(bundle, collections, exact, reference)
    require_fp32(report, limits)
    precisions = Manifest.read(bundle).graphs
    if "int8" in precisions:
        stage("comparing the int8 graph with the fp32 graph")
        judges = [collection.judging() for collection in collections]
        judged = [Encoded(e.language, e.queries[1::2], e.documents[1::2]) for e in exact]
        report["int8"] = compare_int8(judges, judged, _encode_device(bundle, "int8", judges))
        require_int8(report, limits)
    return report


def golden(bundle: Path, collections: Sequence[Collection] | None = None) -> tuple[list[dict[str, Any]], Vectors]:
    """Golden vectors for `check`: a query and a document per language, encoded by the fp32 graph.

    Returns:
        The texts with role and token count, and their concatenated vectors (tokens, dim) float32.
    """
    model = ColBERT(bundle, precision="fp32")
    entries: list[dict[str, Any]] = []
    vectors: list[Vectors] = []
    for collection in texts.collections() if collections is None else collections:
        for role, text in (("query", collection.queries[0]), ("document", collection.documents[0])):
            encoded = _encode(model, [text], role)[0]
            entries.append({"role": role, "text": text, "tokens": len(encoded)})
            vectors.append(encoded)
    return entries, np.concatenate(vectors)


def check(bundle: Path, *, limits: Limits = LIMITS) -> dict[str, Any]:
    """Verify a bundle without its checkpoint: checksums, loading, and its golden vectors.

    Raises:
        BundleError: a file is missing or altered, or ONNX Runtime cannot load it.
        GateError: this machine's vectors differ from those of the exporting machine.
    """
    opened = Bundle(bundle)
    names = [path.name for path in opened.verify()]
    entries, expected = _read_golden(opened)
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
                    f"{entry['text']!r} gives {len(vectors)} token vectors here, and gave {entry['tokens']} at export: "
                    "the installed tokenizers library tokenizes differently.",
                    report,
                )
        if precision == "fp32":
            differences = [
                float(np.abs(a - e).max()) for a, e in zip(actual, np.split(expected, ends[:-1]), strict=True)
            ]
            worst = int(np.argmax(differences))
            report["fp32"] = {"max_abs_error": two_digits(differences[worst]), "worst": entries[worst]["text"]}
            require_fp32(report, limits)
        else:
            found = np.einsum("td,td->t", np.concatenate(actual), expected)
            report[precision] = cosines(found) | {
                "worst": entries[int(np.searchsorted(ends, found.argmin(), "right"))]["text"]
            }
            require_cosines(report, limits)
    return report


def device_session(graph: Path | onnx.ModelProto) -> onnxruntime.InferenceSession:
    """A session with the device's options. Integer products are then exact, so that measurements carry over to other
    CPUs; with ONNX Runtime's defaults, sums overflow on x86 without VNNI (token cosine .90 instead of 1).
    """
    content = str(graph) if isinstance(graph, Path) else graph.SerializeToString()
    return onnxruntime.InferenceSession(content, session_options(), providers=["CPUExecutionProvider"])


def _read_golden(bundle: Bundle) -> tuple[list[dict[str, Any]], Vectors]:
    """The golden vectors stored at export."""
    try:
        entries = bundle.manifest.verification["golden"]["texts"]
        vectors: Vectors = np.load(bundle.folder / GOLDEN_FILE, allow_pickle=False)
        complete = vectors.shape == (sum(entry["tokens"] for entry in entries), bundle.manifest.dim)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleCorruptError(f"{bundle.folder} has no golden vectors to verify with: {error!r}.") from error
    if not complete:
        raise BundleCorruptError(f"{bundle.folder / GOLDEN_FILE} does not match the manifest.")
    return entries, vectors


def _encode_device(bundle: Path, precision: Precision, collections: Sequence[Collection]) -> list[Encoded]:
    model = ColBERT(bundle, precision=precision)
    return [
        Encoded(c.language, _encode(model, c.queries, "query"), _encode(model, c.documents, "document"))
        for c in collections
    ]


def _encode(model: ColBERT, batch: Sequence[str], role: str) -> list[Vectors]:
    encode = model.encode_query if role == "query" else model.encode_document
    vectors: list[Vectors] = encode(list(batch), show_progress_bar=False)
    return vectors


def _describe(exact: Sequence[Encoded]) -> dict[str, Any]:
    return {
        "languages": [encoded.language for encoded in exact],
        "queries": sum(len(encoded.queries) for encoded in exact),
        "documents": sum(len(encoded.documents) for encoded in exact),
        "document_tokens": sum(len(vectors) for encoded in exact for vectors in encoded.documents),
    }


def _compare_fp32(
    bundle: Path, collections: Sequence[Collection], exact: Sequence[Encoded], reference: Reference
) -> dict[str, Any]:
    """Largest difference over texts (with tokenizers and settings) and over lengths (the bare graph)."""
    worst, where = 0.0, ""
    per_language = {}
    for collection, encoded in zip(collections, exact, strict=True):
        largest = 0.0
        for role, batch, vectors in (
            ("query", collection.queries, encoded.queries),
            ("document", collection.documents, encoded.documents),
        ):
            for number, (text, actual) in enumerate(zip(batch, vectors, strict=True)):
                text_name = f"{collection.language} {role} {number} ({excerpt(text)})"
                expected = reference.encode(text, is_query=role == "query")
                if actual.shape != expected.shape:
                    raise GateError(
                        f"{text_name} gives {len(actual)} token vectors, {len(expected)} in PyTorch: the ids differ."
                    )
                difference = float(np.abs(actual - expected).max(initial=0.0))
                largest = max(largest, difference)
                if not (difference < worst or np.isnan(worst)):  # also true for NaN
                    worst, where = difference, text_name
        per_language[collection.language] = two_digits(largest)
    lengths = _compare_lengths(bundle, collections, reference)
    longest = max(lengths, key=lambda key: lengths[key])
    if not lengths[longest] <= worst:
        worst, where = lengths[longest], f"{longest} tokens"
    return {
        "max_abs_error": two_digits(worst),
        "worst": where,
        "languages": per_language,
        "lengths": {key: two_digits(value) for key, value in lengths.items()},
    }


def _compare_lengths(bundle: Path, collections: Sequence[Collection], reference: Reference) -> dict[str, float]:
    """Differences of the bare fp32 graph at many lengths up to the longest, and with a mask if it takes one."""
    opened = Bundle(bundle)
    manifest = opened.manifest
    session = device_session(opened.graph_path("fp32"))
    longest = min(manifest.max_positions, LONGEST)
    settings = manifest.settings
    stream = np.concatenate([reference.sample(text, is_query=False).ids for c in collections for text in c.documents])
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
        # The same number of attended tokens in both: fused graphs refuse other batches.
        attention[:, max(1, length // 2) :] = 0
        result[f"2x{length}, half of each unattended"] = difference(ids, attention)
    return result


def compare_with_library(
    bundle: Path, checkpoint: Path, python: str, collections: Sequence[Collection], *, trust_remote_code: bool
) -> dict[str, Any]:
    """Compare a bundle with the checkpoint's own library, installed in another environment.

    Args:
        bundle: folder of the bundle.
        checkpoint: folder of the checkpoint.
        python: interpreter that has PyLate (for PyLate's and Stanford's layouts) or Sentence Transformers 6.
        collections: the texts.
        trust_remote_code: whether the library may run the checkpoint's own code.

    Raises:
        GateError: the fp32 graph differs from the library, or the library fails.
    """
    manifest = Manifest.read(bundle)
    expected = library.encode(python, checkpoint, manifest, collections, trust_remote_code=trust_remote_code)
    report: dict[str, Any] = {"library": expected.versions}
    for precision in PRECISIONS:
        if precision not in manifest.graphs:
            continue
        exact = precision == "fp32"
        actual = _encode_device(bundle, precision, collections)
        worst, where, found = 0.0, "", []
        for encoded, theirs in zip(actual, expected.encoded, strict=True):
            ours = (*encoded.queries, *encoded.documents)
            for number, (a, e) in enumerate(zip(ours, (*theirs.queries, *theirs.documents), strict=True)):
                if a.shape != e.shape:
                    raise GateError(
                        f"text {number} in {encoded.language} gives {len(a)} token vectors, {len(e)} in the library."
                    )
                found.append(np.einsum("td,td->t", a, e))
                if (difference := float(np.abs(a - e).max(initial=0.0))) >= worst:
                    worst, where = difference, f"{encoded.language} text {number}"
        if exact:
            report["fp32"] = {"max_abs_error": two_digits(worst), "worst": where}
            require_fp32(report, LIMITS, expected.versions)
        else:
            report[precision] = cosines(np.concatenate(found)) | {"worst": where}
    return report
