"""The graph stage: an encoder as the operators that ONNX Runtime's CPU kernels run fastest.

A fused graph leaves unattended tokens out instead of masking them, so in a batch all texts have as many tokens and as
many attended ones, which come first. It refuses other batches. The runtime runs each text alone.
"""

from latelite_export.graph.build import write
from latelite_export.graph.writer import OUTPUT, input_names, opset

__all__ = ["OUTPUT", "input_names", "opset", "write"]
