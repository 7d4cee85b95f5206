"""torch encoder -> fused fp32 graph."""

from __future__ import annotations

import io
import logging
import warnings
from dataclasses import dataclass

import onnx
import torch
from torch import nn

from latelite_export.encoder import Encoder
from latelite_export.graph.backbones import Fused, fuse
from latelite_export.graph.cleanup import tidy
from latelite_export.graph.operators import DOMAIN, Normalise
from latelite_export.trace import AXES, IR_VERSION, OUTPUT

logger = logging.getLogger(__name__)

OPSET = 20
"""The first with Gelu, and the last that torch's tracing exporter knows; ONNX Runtime 1.20 reads up to 21."""


@dataclass(frozen=True)
class Trace:
    """A fused graph and what became of the encoder."""

    model: onnx.ModelProto
    replaced: tuple[str, ...]
    """Paths of the encoder's modules that were replaced."""


def trace(encoder: Encoder, *, masked: bool) -> Trace | None:
    """The encoder as an fp32 graph of fused operators; the same encoder always gives the same bytes.

    Args:
        encoder: backbone, projection and normalisation.
        masked: whether texts may have tokens that nobody attends to. They follow the attended ones, and there are
            equally many in all texts of a batch; the graph refuses anything else.

    Returns:
        A graph with int64 input ``input_ids`` and, if ``masked``, ``attention_mask``, each (texts, tokens), and
        float32 output ``token_vectors`` (texts, tokens, dim); None for a backbone that is not known here, which then
        has to be traced as it is.
    """
    fused = fuse(encoder.backbone)
    if fused is None:
        logger.info("%s has no fused form; its graph stays as traced.", encoder.architecture)
        return None
    module = _Module(fused, encoder.head).eval()
    names = ["input_ids", "attention_mask"] if masked else ["input_ids"]
    # Two texts, so that no axis is mistaken for a constant 1. 5 is no padding id in any known vocabulary.
    ids = torch.full((2, 11), 5, dtype=torch.int64)
    mask = torch.ones_like(ids)
    mask[:, 7:] = 0
    buffer = io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
        # The tracer warns about every Python branch on a shape and about its own end; the gate is what checks.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (ids, mask) if masked else (ids,),
            buffer,  # type: ignore[arg-type]  # a stream is fine here, the annotation knows paths only
            input_names=names,
            output_names=[OUTPUT],
            dynamic_axes=dict.fromkeys((*names, OUTPUT), AXES),
            opset_version=OPSET,
            custom_opsets={DOMAIN: 1},
            # The newer exporter knows no symbolic functions of autograd's and names nodes by numbers.
            dynamo=False,
        )
    model = tidy(onnx.load_model_from_string(buffer.getvalue()))
    model.ir_version = IR_VERSION
    return Trace(model, tuple(fused.replaced))


class _Module(nn.Module):
    """The fused encoder as the tracer calls it. Attribute names are those of `Encoder`: products are named by them."""

    def __init__(self, fused: Fused, head: nn.Module) -> None:
        super().__init__()
        self.backbone = fused.backbone
        self.head = head
        self._fused = fused

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        self._fused.measure(input_ids, attention_mask)
        # Transformers makes its masks of this; nobody looks at them, so they do not reach the graph.
        everyone = torch.ones_like(input_ids)
        hidden = self.backbone(input_ids=input_ids, attention_mask=everyone, return_dict=False)[0]
        return Normalise.run(self.head(hidden))
