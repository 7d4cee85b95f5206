"""The gate's limits, and comparison of two encodings of the same texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latelite_export.errors import GateError
from latelite_export.ranking import maxsim, overlap
from latelite_export.texts import Collection

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Limits:
    """The limits that a bundle must meet."""

    fp32_max_abs: float = 1e-4
    """Largest difference of any component between the fp32 graph and PyTorch."""
    cosine_mean: float = 0.995
    """Mean token cosine between int8 and fp32, over all texts."""
    cosine_p1: float = 0.98
    """First percentile of the token cosine."""
    top10_overlap: float = 0.95
    """Mean overlap of int8's and fp32's ten best documents per query; near ties count as equal (see `ranking`)."""


LIMITS = Limits()


@dataclass(frozen=True)
class Encoded:
    """Gate texts of one language, encoded."""

    language: str
    queries: list[Vectors]
    documents: list[Vectors]


def compare_int8(
    collections: Sequence[Collection], exact: Sequence[Encoded], approximate: Sequence[Encoded]
) -> dict[str, Any]:
    """Compare an int8 graph's token vectors and rankings with fp32's, over all texts and per language."""
    documents = [vectors for encoded in exact for vectors in encoded.documents]
    rough_documents = [vectors for encoded in approximate for vectors in encoded.documents]
    languages: dict[str, Any] = {}
    everything: list[NDArray[np.float64]] = []
    overlaps: list[float] = []
    strict: list[float] = []
    worst = (2.0, "")
    for collection, fine, rough in zip(collections, exact, approximate, strict=True):
        batch = (*collection.queries, *collection.documents)
        found = [
            np.einsum("td,td->t", a, b, dtype=np.float64)
            for a, b in zip(fine.queries + fine.documents, rough.queries + rough.documents, strict=True)
        ]
        lowest = min(range(len(batch)), key=lambda i: float(found[i].mean()))
        place = f"{collection.language} ({excerpt(batch[lowest])})"
        worst = min(worst, (float(found[lowest].mean()), place))
        scores = maxsim(fine.queries, documents), maxsim(rough.queries, rough_documents)
        shared = overlap(*scores)
        strict += overlap(*scores, 0.0)
        languages[collection.language] = cosines(np.concatenate(found)) | {
            "top10_overlap": round(float(np.mean(shared)), 4),
            "worst": excerpt(batch[lowest]),
        }
        everything += found
        overlaps += shared
    return cosines(np.concatenate(everything)) | {
        "judged_queries": sum(len(collection.queries) for collection in collections),
        "judged_documents": len(documents),
        "top10_overlap": round(float(np.mean(overlaps)), 4),
        "top10_overlap_strict": round(float(np.mean(strict)), 4),
        "worst": worst[1],
        "languages": languages,
    }


def cosines(of_tokens: NDArray[np.floating[Any]]) -> dict[str, float]:
    """Mean, first percentile and minimum of token cosines, for the report."""
    return {
        "cosine_mean": round(float(of_tokens.mean()), 5),
        "cosine_p1": round(float(np.quantile(of_tokens, 0.01)), 5),
        "cosine_min": round(float(of_tokens.min()), 5),
    }


def require_fp32(report: Mapping[str, Any], limits: Limits, other: str = "PyTorch") -> None:
    """Raise GateError if the fp32 graph differs too much."""
    found = report["fp32"]
    if not found["max_abs_error"] <= limits.fp32_max_abs:  # also catches NaN
        raise GateError(
            f"the fp32 graph differs from {other} by {found['max_abs_error']:.1e}, more than "
            f"{limits.fp32_max_abs:.0e}; worst in {found['worst']}.",
            report,
        )


def require_cosines(report: Mapping[str, Any], limits: Limits) -> None:
    """Raise GateError if the int8 graph's token cosines are too low."""
    found = report["int8"]
    for key, name in (("cosine_mean", "mean"), ("cosine_p1", "1st percentile")):
        limit = getattr(limits, key)
        if not found[key] >= limit:
            raise GateError(
                f"the int8 graph's token cosine to fp32 has {name} {found[key]:.4f}, below {limit}; worst in "
                f"{found['worst']}.",
                report,
            )


def require_int8(report: Mapping[str, Any], limits: Limits) -> None:
    """Raise GateError if the int8 graph ranks too differently."""
    require_cosines(report, limits)
    found = report["int8"]
    if not found["top10_overlap"] >= limits.top10_overlap:
        language = min(found["languages"], key=lambda key: found["languages"][key]["top10_overlap"])
        raise GateError(
            f"int8 and fp32 agree on {found['top10_overlap']:.1%} of each query's ten best documents, below "
            f"{limits.top10_overlap:.0%}; worst in {language} ({found['languages'][language]['top10_overlap']:.1%}).",
            report,
        )


def two_digits(value: float) -> float:
    """Rounded to two significant digits, for the report."""
    return float(f"{value:.1e}")


def excerpt(text: str, length: int = 40) -> str:
    """The start of a text, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 1]}…"
