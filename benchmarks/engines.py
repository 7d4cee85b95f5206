"""The encoder benchmark's engines, which turn ids into token vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import encoders
import numpy as np
import onnxruntime
from encoders import Attention, Ids, Kind

from latelite.session import Session, session_options
from latelite.tokenization import Tokens

Call = Callable[[Ids], Any]

TORCH_BATCH = 32


@dataclass(frozen=True)
class Engine:
    """An implementation of an encoder."""

    name: str
    call: Call
    """One text -> token vectors."""
    corpus: Callable[[Sequence[Ids]], Any]
    """Many texts, shortest first."""


def torch_engine(kind: Kind, attention: Attention, threads: int) -> Engine:
    """transformers and projection in fp32 and inference mode; a corpus runs in padded batches, sorted by length."""
    import torch

    torch.set_num_threads(threads)
    encoder = encoders.encoder(kind, attention)

    def call(ids: Ids) -> Any:
        with torch.inference_mode():
            tensor = torch.from_numpy(ids)
            return encoder(tensor, torch.ones_like(tensor)).numpy()

    def corpus(texts: Sequence[Ids]) -> None:
        with torch.inference_mode():
            for start in range(0, len(texts), TORCH_BATCH):
                batch = texts[start : start + TORCH_BATCH]
                ids = torch.zeros((len(batch), batch[-1].shape[1]), dtype=torch.int64)
                mask = torch.zeros_like(ids)
                for row, text in enumerate(batch):
                    ids[row, : text.shape[1]] = torch.from_numpy(text[0])
                    mask[row, : text.shape[1]] = 1
                encoder(ids, mask)

    return Engine("torch" if attention == "sdpa" else f"torch {attention}", call, corpus)


def onnx_engine(name: str, path: Path, threads: int, *, options: onnxruntime.SessionOptions | None = None) -> Engine:
    """A graph in a plain ONNX Runtime session, a corpus text by text; ``options``: None for the library's default."""
    if options is None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]
    fill = {"attention_mask": np.ones, "token_type_ids": np.zeros}

    def call(ids: Ids) -> Any:
        return session.run(None, {n: ids if n == "input_ids" else fill[n](ids.shape, np.int64) for n in names})[0]

    return Engine(name, call, lambda texts: [call(ids) for ids in texts])


def sharing_engine(name: str, path: Path, threads: int) -> Engine:
    """latelite's session options, but all threads on each text, regardless of length."""
    return onnx_engine(f"{name}, threads share a text", path, threads, options=session_options(threads))


def runtime_engine(name: str, path: Path, threads: int) -> Engine:
    """A graph as latelite's runtime runs it: its session, a corpus on workers, longest text first."""
    graph = onnxruntime.InferenceSession(str(path), session_options(), providers=["CPUExecutionProvider"])
    # The only fields of a manifest that a session reads.
    manifest: Any = SimpleNamespace(
        inputs=[entry.name for entry in graph.get_inputs()],
        output=graph.get_outputs()[0].name,
        dim=graph.get_outputs()[0].shape[-1],
    )
    session = Session(path, manifest, threads=threads)

    def run(ids: Ids, *, alone: bool) -> Any:
        count = ids.shape[1]
        tokens = Tokens(ids[0], np.ones(count, np.int64), np.ones(count, bool))
        return session.run(tokens, alone=alone)[None]

    def corpus(texts: Sequence[Ids]) -> Any:
        ordered = reversed(texts)
        if threads == 1:
            return [run(ids, alone=False) for ids in ordered]
        with ThreadPoolExecutor(threads) as workers:
            return list(workers.map(lambda ids: run(ids, alone=False), ordered))

    return Engine(name, lambda ids: run(ids, alone=True), corpus)
