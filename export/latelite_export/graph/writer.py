"""Writer of an ONNX graph, node by node."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

DOMAIN = "com.microsoft"
"""Domain of ONNX Runtime's own operators, which are in every build."""
OPSET = 20
"""The first with Gelu; ONNX Runtime 1.20 reads up to 21."""
IR_VERSION = 10
"""The newest that ONNX Runtime 1.20 reads."""
OUTPUT = "token_vectors"
AXES = ("texts", "tokens")


class UnknownFormError(Exception):
    """The encoder has no fused form and must be traced."""


class Writer:
    """Collects nodes and initializers. Values are referred to by tensor name.

    Products and norms are named after the checkpoint's tensors, so that plans, reports and graph viewers use the same
    names.

    Args:
        tensors: fp32 weights of the encoder and the projection, by path.
    """

    def __init__(self, tensors: Mapping[str, NDArray[np.float32]]) -> None:
        self._tensors = tensors
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}
        self._names: set[str] = set()

    def tensor(self, path: str) -> NDArray[np.float32]:
        """A weight of the encoder.

        Raises:
            UnknownFormError: the encoder has no weight of that name.
        """
        if path not in self._tensors:
            raise UnknownFormError(f"there is no {path}")
        return self._tensors[path]

    def has(self, path: str) -> bool:
        """Whether the encoder has a weight of that name."""
        return path in self._tensors

    def node(
        self, kind: str, *inputs: str, name: str = "", output: str = "", domain: str = "", **attributes: Any
    ) -> str:
        """Add an operator with one output; returns the output's name."""
        name = self._unique(name or kind)
        output = output or f"{name}_out"
        self._nodes.append(helper.make_node(kind, list(inputs), [output], name, domain=domain, **attributes))
        return output

    def initializer(self, name: str, value: NDArray[Any]) -> str:
        """Add a constant tensor under that name, once."""
        if name not in self._initializers:
            self._initializers[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def weight(self, path: str) -> str:
        """Add a weight of the encoder, unchanged."""
        return self.initializer(path, self.tensor(path))

    def ints(self, *values: int) -> str:
        """int64 (n,)."""
        return self.initializer(f"ints_{'_'.join(map(str, values))}".replace("-", "m"), np.array(values, np.int64))

    def scalar(self, value: int) -> str:
        """int64 ()."""
        return self.initializer(f"scalar_{value}".replace("-", "m"), np.array(value, np.int64))

    def floats(self, *values: float) -> str:
        """float32 (n,)."""
        array = np.array(values, np.float32)
        return self.initializer(f"floats_{array.tobytes().hex()}", array)

    def size(self, tensor: str, axis: int) -> str:
        """int64 (1,): the size of one axis."""
        return self.node("Shape", tensor, start=axis, end=axis + 1)

    def linear(self, path: str, hidden: str, *, rows: slice | None = None, part: str = "") -> str:
        """``hidden`` times the transposed weight, plus the bias where there is one.

        Args:
            path: path of the layer, without ``.weight``.
            hidden: (texts, tokens, inputs).
            rows: the outputs to use of a packed layer; None: all.
            part: name of the product for these outputs.
        """
        weight = self.tensor(f"{path}.weight")
        bias = self.tensor(f"{path}.bias") if self.has(f"{path}.bias") else None
        if rows is not None:
            weight = weight[rows]
            bias = None if bias is None else bias[rows]
        full = f"{path}.{part}" if part else path
        name = _slash_path(full)
        product = self.node("MatMul", hidden, self.initializer(f"{name}/weight", weight.T), name=f"/{name}/MatMul")
        if bias is None:
            return product
        return self.node("Add", self.initializer(f"{full}.bias", bias), product, name=f"/{name}/Add")

    def norm(self, path: str, hidden: str, eps: float) -> str:
        """Layer normalisation, with or without a bias."""
        bias = [self.weight(f"{path}.bias")] if self.has(f"{path}.bias") else []
        name = f"/{_slash_path(path)}/LayerNormalization"
        return self.node(
            "LayerNormalization", hidden, self.weight(f"{path}.weight"), *bias, name=name, axis=-1, epsilon=eps
        )

    def activation(self, kind: str, hidden: str) -> str:
        """Apply the activation that transformers calls ``kind``.

        Raises:
            UnknownFormError: the activation has no operators here.
        """
        if kind == "gelu":
            return self.node("Gelu", hidden)
        if kind in ("gelu_new", "gelu_pytorch_tanh", "gelu_fast"):
            return self.node("Gelu", hidden, approximate="tanh")
        if kind in ("silu", "swish"):
            return self.node("Mul", hidden, self.node("Sigmoid", hidden))
        if kind in ("relu", "tanh", "sigmoid"):
            return self.node(kind.capitalize(), hidden)
        raise UnknownFormError(f"the activation {kind}")

    def model(self, inputs: tuple[str, ...], dim: int) -> onnx.ModelProto:
        """The graph: int64 inputs (texts, tokens), float32 output (texts, tokens, dim)."""
        fed = [helper.make_tensor_value_info(name, TensorProto.INT64, AXES) for name in inputs]
        output = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [*AXES, dim])
        used = {name for node in self._nodes for name in node.input}
        initializers = [tensor for name, tensor in self._initializers.items() if name in used]
        return helper.make_model(
            helper.make_graph(self._nodes, "encoder", fed, [output], initializers),
            opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1)],
            ir_version=IR_VERSION,
            producer_name="latelite",
        )

    def _unique(self, name: str) -> str:
        number, found = 0, name
        while found in self._names:
            number += 1
            found = f"{name}_{number}"
        self._names.add(found)
        return found


def _slash_path(path: str) -> str:
    """``encoder.layer.3.output.dense`` -> ``encoder/layer.3/output/dense``."""
    return re.sub(r"\.(?!\d)", "/", path)


def opset(model: onnx.ModelProto) -> int:
    """The version of ONNX's own operators that a model uses."""
    return int(next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")))


def input_names(model: onnx.ModelProto) -> tuple[str, ...]:
    """Names of a graph's inputs, in order."""
    return tuple(entry.name for entry in model.graph.input)
