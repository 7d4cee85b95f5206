"""The fused graph of every checkpoint of the matrix computes what the torch module computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from latelite.session import session_options
from latelite_export import configuration, encoder, graph, layouts, tokenizer
from latelite_export.checkpoint import Overrides
from latelite_export.encoder import Encoder
from latelite_export.quantize import quantize
from reference import checkpoints, golden

TRACED = {"deberta", "deberta-v2", "lfm2", "qwen3", "roformer", "xlm-roberta-xl"}
"""Backbones without a graph of their own: `test_golden.py` compares what tracing makes of them."""
CASES = [
    case.name
    for case in checkpoints.CASES
    if case.name != "st6-min" and case.backbone not in TRACED  # st6-min is refused by the exporter
]
ONE_EACH = (
    "bert-pylate",
    "bert-expansion",
    "xlm-roberta",
    "distilbert-256",
    "mpnet",
    "modernbert",
    "modernbert-expansion",
)
TOLERANCE = 1e-4

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Written:
    """One case, its encoder in PyTorch and its graph."""

    encoder: Encoder
    masked: bool
    model: onnx.ModelProto
    graph: onnxruntime.InferenceSession
    """Of the fp32 graph."""

    def torch(self, ids: Ids, attention: Ids) -> NDArray[np.float32]:
        feed = {"input_ids": ids, "attention_mask": attention, "token_type_ids": np.zeros_like(ids)}
        with torch.inference_mode():
            vectors: NDArray[np.float32] = self.encoder(
                *(torch.tensor(feed[name]) for name in self.encoder.inputs)
            ).numpy()
        return vectors


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = session_options()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run(of: onnxruntime.InferenceSession, ids: Ids, attention: Ids) -> NDArray[np.float32]:
    feed = {"input_ids": ids, "attention_mask": attention}
    vectors: NDArray[np.float32] = of.run(None, {entry.name: feed[entry.name] for entry in of.get_inputs()})[0]
    return vectors


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """One thread, because for short texts PyTorch's threads only cost time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def written(checkpoint: Callable[[str], Path]) -> Callable[[str], Written]:
    """Name of a case -> its encoder and graph, made once."""

    @cache
    def make(name: str) -> Written:
        resolved = layouts.read(checkpoint(name), name, None, Overrides())
        config = configuration.read(resolved.backbone)
        built = encoder.build(resolved, tokenizer.load(resolved, config.parsed), config)
        settings = resolved.settings
        masked = settings.do_query_expansion and not settings.attend_to_expansion_tokens
        model = graph.write(built, masked=masked)
        assert model is not None
        return Written(built, masked, model, session(model))

    return make


@pytest.mark.parametrize("name", CASES)
def test_fp32_equals_the_module_on_every_golden_text(name: str, written: Callable[[str], Written]) -> None:
    case, expected = written(name), golden.load(name)
    for side in (expected.queries, expected.documents):
        for ids, attention in zip(side.ids, side.attention, strict=True):
            fed = ids[None].astype(np.int64), attention[None].astype(np.int64)
            assert np.abs(run(case.graph, *fed) - case.torch(*fed)).max() <= TOLERANCE


@pytest.mark.parametrize("name", ONE_EACH)
@pytest.mark.parametrize("length", [1, 2, 3, 5, 63, 64, 65, 66, 128, 129, 300, 512])
def test_every_length(name: str, length: int, written: Callable[[str], Written]) -> None:
    case = written(name)
    length = min(length, case.encoder.max_positions)
    ids = np.random.default_rng(length).integers(5, 300, (1, length))
    attention = np.ones_like(ids)
    assert np.abs(run(case.graph, ids, attention) - case.torch(ids, attention)).max() <= TOLERANCE
    if case.masked and length > 2:
        attention[:, 1 + length // 3 :] = 0
        assert np.abs(run(case.graph, ids, attention) - case.torch(ids, attention)).max() <= TOLERANCE


@pytest.mark.parametrize("name", ONE_EACH)
def test_batches_of_one_length_give_what_their_texts_give(name: str, written: Callable[[str], Written]) -> None:
    case = written(name)
    ids = np.random.default_rng(1).integers(5, 300, (3, 150))
    attention = np.ones_like(ids)
    if case.masked:
        attention[:, 40:] = 0
    alone = np.concatenate([run(case.graph, ids[i : i + 1], attention[i : i + 1]) for i in range(3)])
    assert np.abs(run(case.graph, ids, attention) - alone).max() <= 1e-6


@pytest.mark.parametrize(
    "attention",
    [[[1, 1, 1, 0], [1, 1, 0, 0]], [[0, 1, 1, 1]], [[1, 0, 1, 1]], [[1, 1, 0, 1], [1, 1, 1, 0]]],
    ids=["unequal", "padded on the left", "a hole", "equally many elsewhere"],
)
def test_masks_that_mean_something_else_are_refused(
    attention: list[list[int]], written: Callable[[str], Written]
) -> None:
    mask = np.array(attention)
    with pytest.raises(Exception, match="Reshape"):
        run(written("bert-expansion").graph, np.full_like(mask, 7), mask)


@pytest.mark.parametrize("name", ONE_EACH)
def test_the_same_encoder_gives_the_same_bytes_and_is_left_alone(name: str, written: Callable[[str], Written]) -> None:
    case = written(name)
    before = [(path, type(module)) for path, module in case.encoder.named_modules()]
    again = graph.write(case.encoder, masked=case.masked)
    assert again is not None
    assert again.SerializeToString(deterministic=True) == case.model.SerializeToString(deterministic=True)
    assert [(path, type(module)) for path, module in case.encoder.named_modules()] == before


@pytest.mark.parametrize("name", ONE_EACH)
def test_int8_stays_close(name: str, written: Callable[[str], Written]) -> None:
    case, expected = written(name), golden.load(name)
    quantised = session(quantize(case.model, "int8"))
    cosines = []
    for ids, attention in zip(expected.documents.ids, expected.documents.attention, strict=True):
        fed = ids[None].astype(np.int64), attention[None].astype(np.int64)
        cosines.append((run(quantised, *fed) * case.torch(*fed)).sum(-1).ravel())
    # Tiny random encoders with loud weights: this tells a broken scale from rounding, no more.
    assert np.concatenate(cosines).mean() >= 0.997
