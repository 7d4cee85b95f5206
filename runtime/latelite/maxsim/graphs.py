"""The products behind `latelite.maxsim`, as graphs that ONNX Runtime computes.

NumPy's product with OpenBLAS packs the tall block of tokens and lets its threads spin between calls; ONNX Runtime packs
the narrow query instead, knows int8 dot products (VNNI, AMX, Arm's UDOT), and runs on the calling thread alone. The
graphs, of one to eight nodes, are files beside this module, made by `latelite_export.maxsim_graphs`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Literal

import onnxruntime

GROUP = 8
"""Neighbouring tokens whose maximum is taken inside the graph."""

Kind = Literal["float32", "int7", "int14"]
"""What is multiplied: float32 with float32, or uint8 codes with query components of 7 or of 7 + 7 bits."""


@cache
def session(kind: Kind) -> onnxruntime.InferenceSession:
    """The maxima of products, for one kind. It may be run from several threads.

    Inputs:
        tokens: (groups, `GROUP`, dim) float32 or uint8.
        query: (dim, query tokens) float32, or ``high`` and, for int14, ``low``: int8.
        owners: (groups, 1) int64, the document of each group.
        shared: (s,) int64, the groups that documents share.
        token_owners: (s, GROUP, 1) int64, the document of each token of those.
        start: (documents, query tokens) float32 or int32, what the maxima are at least.

    Output ``maxima``: (documents, query tokens) float32 or int32, for each document the maximum of ``start`` and of the
    products of its groups and tokens. For int14 a product is 128 * (tokens @ high) + tokens @ low, which 32 bits hold
    for up to 1,024 dimensions and parts from -63 to 63 and -64 to 63.
    """
    return _loaded(path(kind))


@cache
def products() -> onnxruntime.InferenceSession:
    """``rows`` (n, dim) uint8, less 128, times ``columns`` (dim, m) int8: ``products`` (n, m) int32."""
    return _loaded(path("products"))


def path(name: Kind | Literal["products"]) -> Path:
    """The file of a graph."""
    return Path(__file__).with_name(f"{name}.onnx")


def _loaded(file: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(file.read_bytes(), sess_options=options, providers=["CPUExecutionProvider"])


def parts(kind: Kind, query: Iterable[Any]) -> dict[str, Any]:
    """The query's inputs of `session` by name: one array of float32 or int7, two of int14."""
    names = {"float32": ("query",), "int7": ("high",), "int14": ("high", "low")}[kind]
    return dict(zip(names, query, strict=True))
