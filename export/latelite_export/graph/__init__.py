"""Writes an encoder as a graph of the operators that ONNX Runtime's CPU kernels run fastest.

A fused graph drops unattended tokens instead of masking them. All texts of a batch must therefore have the same number
of tokens and of attended tokens, attended ones first; other batches are refused. The runtime runs each text alone.
"""

from latelite_export.graph.build import write
from latelite_export.graph.writer import OUTPUT, input_names, opset

__all__ = ["OUTPUT", "input_names", "opset", "write"]
