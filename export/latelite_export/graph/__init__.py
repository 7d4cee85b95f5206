"""The graph stage: an encoder as the operators that ONNX Runtime's CPU kernels run fastest, in fp32 and in int8.

A fused graph leaves unattended tokens out instead of masking them, so in a batch all texts have as many tokens and as
many attended ones, which come first. It refuses other batches. The runtime runs each text alone.
"""

from latelite_export.graph.quantisation import quantise
from latelite_export.graph.tracing import Trace, trace

__all__ = ["Trace", "quantise", "trace"]
