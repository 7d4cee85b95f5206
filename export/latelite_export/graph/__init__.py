"""The graph stage: an encoder as the operators that ONNX Runtime's CPU kernels run fastest, in fp32 and in int8."""

from latelite_export.graph.quantisation import quantise
from latelite_export.graph.tracing import Trace, trace

__all__ = ["Trace", "quantise", "trace"]
