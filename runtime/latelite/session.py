"""ids -> token vectors: one ONNX Runtime session."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from latelite.errors import BundleCorruptError
from latelite.manifest import Manifest
from latelite.tokenization import Tokens

_LONG = 512
"""Tokens of a text after which the memory that it took is given back; doing so costs a few allocations next time."""


class Session:
    """Runs one graph on the CPU, one text at a time, on the calling thread.

    A text is never batched with others: dynamic quantisation takes one activation scale per tensor, so an int8 text's
    vectors would depend on its batch mates and on padding. Alone, the same text always gives the same bytes. Calls
    from several threads run in parallel on one copy of the weights.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        options = onnxruntime.SessionOptions()
        # Explicit: the default of 0 pins one thread to each core, which fails in containers that own fewer cores.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        # The arena is 4 to 8 % faster than none; patterns gain nothing when every text has another length.
        options.enable_mem_pattern = False
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), sess_options=options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise BundleCorruptError(f"ONNX Runtime {onnxruntime.__version__} cannot load {path}: {error}") from error
        # Otherwise the longest text ever seen would decide the resident size for good. With it, a process of the 15 M
        # class goes from 84 MB after a query to 98 MB after a text of 2048 tokens.
        self._shrinking = onnxruntime.RunOptions()
        self._shrinking.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        self._inputs = manifest.inputs
        self._output = manifest.output
        shape = self._session.get_outputs()[0].shape
        if shape[-1] != manifest.dim:
            raise BundleCorruptError(
                f"{path} gives vectors of {shape[-1]} dimensions, its manifest says {manifest.dim}."
            )

    def run(self, tokens: Tokens) -> NDArray[np.float32]:
        """Token vectors of one text, (kept tokens, dim) float32, L2-normalised."""
        feed = {
            "input_ids": tokens.ids[None, :],
            "attention_mask": tokens.attention[None, :],
            "token_type_ids": np.zeros((1, len(tokens.ids)), dtype=np.int64),
        }
        options = self._shrinking if len(tokens.ids) > _LONG else None
        (vectors,) = self._session.run([self._output], {name: feed[name] for name in self._inputs}, options)
        kept: NDArray[np.float32] = vectors[0][tokens.keep]
        return kept
