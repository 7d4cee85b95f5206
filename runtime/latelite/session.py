"""ids -> token vectors: ONNX Runtime on one graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from latelite.cpus import int8_saturates_here
from latelite.errors import BundleCorruptError, BundleError, ProviderError
from latelite.files import sha256
from latelite.manifest import Manifest
from latelite.tokenization import Tokens

Provider = str | tuple[str, Mapping[str, Any]]
"""An execution provider of ONNX Runtime, by name or with its options, as ``InferenceSession`` takes them."""

CPU = "CPUExecutionProvider"

_LONG = 512
"""Tokens of a text after which the memory that it took is given back; doing so costs a few allocations next time."""

_SHARED = 256
"""Tokens from which a text that is encoded by itself is worth several threads. Two instead of one: 1.86 -> 2.23 ms for
32 tokens, 6.8 -> 6.3 for 128, 11.7 -> 9.5 for 180, 23.5 -> 16.2 for 300, 50 -> 29 for 512, 606 -> 300 for 2048."""


def checked_providers(providers: Sequence[Provider]) -> list[Provider]:
    """The providers as ONNX Runtime should get them, with the CPU's last, which takes what the others cannot.

    Raises:
        ValueError: none is named, or one is not part of the installed ONNX Runtime, which would be left out silently.
    """
    if isinstance(providers, str) or not providers:
        raise ValueError(f"providers must be a list of names like [{CPU!r}], not {providers!r}.")
    there = onnxruntime.get_available_providers()
    for name in map(provider_name, providers):
        if name not in there:
            raise ValueError(
                f"ONNX Runtime {onnxruntime.__version__} has no {name} here, only {', '.join(there)}; install the "
                "onnxruntime distribution that brings it (for a Jetson, the wheel of its JetPack release)."
            )
    return [*providers, *([] if CPU in map(provider_name, providers) else [CPU])]


def provider_name(provider: Provider) -> str:
    """Name of a provider that may come with options."""
    return provider if isinstance(provider, str) else provider[0]


def accelerated(providers: Sequence[Provider] | None) -> bool:
    """Whether anything but the CPU is to run the graph."""
    return providers is not None and any(provider_name(provider) != CPU for provider in providers)


def session_options(threads: int = 1) -> onnxruntime.SessionOptions:
    """How latelite runs a graph.

    Args:
        threads: that work on one text.
    """
    options = onnxruntime.SessionOptions()
    # Explicit: the default of 0 pins one thread to each core, which fails in containers that own fewer cores.
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # The arena is 4 to 8 % faster than none; patterns gain nothing when every text has another length.
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    # Signed weights overflow on an x86 without VNNI: token cosine .993 where it is 1 with them turned unsigned (an
    # emulated Haswell, 10 layers). Not where there is VNNI: newer releases turn them there too, for half the speed.
    # https://github.com/microsoft/onnxruntime/pull/12088, https://github.com/microsoft/onnxruntime/pull/27671
    if int8_saturates_here():
        options.add_session_config_entry("session.x64quantprecision", "1")
    return options


class Session:
    """Runs one graph, one text at a time; on the CPU unless told otherwise.

    A text is never batched with others: dynamic quantisation takes one activation scale per tensor, so an int8 text's
    vectors would depend on its batch mates and on padding. Alone, the same text always gives the same bytes.

    A text runs on the calling thread, and calls from several threads run in parallel on one copy of the weights: that
    is the fastest way through many texts (240 documents a second on two CPUs, where two threads that share each text
    give 153 and one gives 135). Threads share the work on a text only when it is long and there is no other; products
    are divided by rows and columns then, never along a sum, so it gives the same bytes.

    Args:
        path: the ONNX file.
        manifest: of its bundle.
        threads: for a long text that is encoded by itself.
        providers: execution providers of ONNX Runtime, see `checked_providers`; None for the CPU.
    """

    def __init__(
        self, path: Path, manifest: Manifest, *, threads: int = 1, providers: Sequence[Provider] | None = None
    ) -> None:
        self._path = path
        self._manifest = manifest
        self._providers = [CPU] if providers is None else checked_providers(providers)
        self._threads = 1 if accelerated(self._providers) else threads
        self._session = self._load(1)
        self._sharing: onnxruntime.InferenceSession | None = None
        self._lock = Lock()
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

    def run(self, tokens: Tokens, *, alone: bool = False) -> NDArray[np.float32]:
        """Token vectors of one text, (kept tokens, dim) float32, L2-normalised.

        Args:
            tokens: of the text.
            alone: whether no other text is waiting, so that a long one may take all threads.
        """
        feed = {
            "input_ids": tokens.ids[None, :],
            "attention_mask": tokens.attention[None, :],
            "token_type_ids": np.zeros((1, len(tokens.ids)), dtype=np.int64),
        }
        length = len(tokens.ids)
        session = self._shared() if alone and self._threads > 1 and length >= _SHARED else self._session
        options = self._shrinking if length > _LONG else None
        (vectors,) = session.run([self._output], {name: feed[name] for name in self._inputs}, options)
        kept: NDArray[np.float32] = vectors[0][tokens.keep]
        return kept

    def _shared(self) -> onnxruntime.InferenceSession:
        """The session for long texts. It holds the weights a second time, so it is made when first needed."""
        with self._lock:
            if self._sharing is None:
                self._sharing = self._load(self._threads)
            return self._sharing

    def _load(self, threads: int) -> onnxruntime.InferenceSession:
        try:
            session = onnxruntime.InferenceSession(
                str(self._path), sess_options=session_options(threads), providers=self._providers
            )
        except Exception as error:
            raise self._refusal(error) from error
        first = provider_name(self._providers[0])
        if first not in session.get_providers():
            raise ProviderError(
                f"{first} could not be set up, ONNX Runtime would run everything on the CPU; check that its driver and "
                "libraries are installed, or leave providers out."
            )
        return session

    def _refusal(self, error: Exception) -> Exception:
        """What to say when ONNX Runtime cannot load the graph.

        It names neither the system's error nor its number, so the file is read here to learn them: too many open files
        or a lack of memory is no damage.
        """
        try:
            entry = self._manifest.files.get(self._path.name)
            damaged = entry is not None and sha256(self._path) != entry.sha256
        except OSError as refused:
            return refused
        if isinstance(error, MemoryError) or "bad_alloc" in str(error):
            return MemoryError(f"There is not enough memory to load {self._path}.")
        if damaged:
            return BundleCorruptError(f"{self._path} does not match its checksum; copy the bundle again.")
        return BundleError(
            f"ONNX Runtime {onnxruntime.__version__} cannot load {self._path}, which is what was exported: {error}"
        )
