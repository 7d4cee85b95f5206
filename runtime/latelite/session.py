"""ids -> token vectors: an ONNX Runtime session of one graph."""

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
"""An execution provider of ONNX Runtime: its name, or name and options, as for ``InferenceSession``."""

CPU = "CPUExecutionProvider"

_LONG = 512
"""Length in tokens from which a text's memory is freed afterwards; the next text then has to allocate some again."""

_SHARED = 256
"""Length in tokens from which a single text uses several threads. With two threads instead of one, 32 tokens take 2.23
instead of 1.86 ms, 128 take 6.3 (6.8), 180 take 9.5 (11.7), 300 take 16.2 (23.5), 512 take 29 (50), 2048 take 300
(606)."""


def check_providers(providers: Sequence[Provider]) -> list[Provider]:
    """Check execution providers, and append the CPU's, which runs what the others cannot.

    Raises:
        ValueError: the list is empty, or the installed ONNX Runtime does not have one (and would silently ignore it).
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
    """Name of a provider with or without options."""
    return provider if isinstance(provider, str) else provider[0]


def accelerated(providers: Sequence[Provider] | None) -> bool:
    """Whether a provider other than the CPU's is to run the graph."""
    return providers is not None and any(provider_name(provider) != CPU for provider in providers)


def session_options(threads: int = 1) -> onnxruntime.SessionOptions:
    """ONNX Runtime's options for latelite's graphs.

    Args:
        threads: number of threads per text.
    """
    options = onnxruntime.SessionOptions()
    # Explicit: the default of 0 pins one thread to each core, which fails in containers with fewer cores.
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # The arena is 4 to 8 % faster than none; memory patterns do not help, because texts differ in length.
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    # Signed weights overflow on x86 without VNNI: token cosine .993, and 1 after conversion to unsigned (an emulated
    # Haswell, 10 layers). Not with VNNI, where newer releases would convert, too, and be half as fast.
    # https://github.com/microsoft/onnxruntime/pull/12088, https://github.com/microsoft/onnxruntime/pull/27671
    if int8_saturates_here():
        options.add_session_config_entry("session.x64quantprecision", "1")
    return options


class Session:
    """Runs one graph on one text at a time, by default on the CPU.

    Texts are not batched: dynamic quantisation has one activation scale per tensor, so in int8 a text's vectors would
    depend on the rest of the batch and on padding. Run alone, the same text always gives the same bytes.

    A text runs on the calling thread; calls from several threads run in parallel and share the weights. This is the
    fastest way to encode many texts (240 documents per second on two CPUs; 153 with two threads per text, 135 with one
    thread in all). Only a single long text uses several threads. These split products by rows and columns, never along
    a sum, so the bytes are the same.

    Args:
        path: the ONNX file.
        manifest: the bundle's manifest.
        threads: number of threads for a single long text.
        providers: execution providers of ONNX Runtime, see `check_providers`; None: the CPU.
    """

    def __init__(
        self, path: Path, manifest: Manifest, *, threads: int = 1, providers: Sequence[Provider] | None = None
    ) -> None:
        self._path = path
        self._manifest = manifest
        self._providers = [CPU] if providers is None else check_providers(providers)
        self._threads = 1 if accelerated(self._providers) else threads
        self._session = self._load(1)
        self._sharing: onnxruntime.InferenceSession | None = None
        self._lock = Lock()
        # Otherwise the longest text so far would determine the resident size for good. With it, a process with a 15 M
        # model grows from 84 MB after a query to only 98 MB after a text of 2048 tokens.
        self._shrinking = onnxruntime.RunOptions()
        self._shrinking.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        self._inputs = manifest.inputs
        self._output = manifest.output
        shape = self._session.get_outputs()[0].shape
        if shape[-1] != manifest.dim:
            raise BundleCorruptError(
                f"{path} gives vectors of {shape[-1]} dimensions instead of {manifest.dim}; export the bundle again."
            )

    def run(self, tokens: Tokens, *, alone: bool = False) -> NDArray[np.float32]:
        """Token vectors of one text, (kept tokens, dim) float32, L2-normalised.

        Args:
            tokens: the text's tokens.
            alone: whether no other text is waiting, so that a long one may use all threads.
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
        """The session for long texts, created when first needed, because it has its own copy of the weights."""
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
