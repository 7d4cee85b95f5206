"""Variants of the int8 graph that latelite-export writes: each changes one choice and computes the same function."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Node = onnx.NodeProto
Rewrite = Callable[["Graph"], list[Node]]
DOMAIN = "com.microsoft"


class Graph:
    """A model's nodes and initializers, for rewriting."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.nodes = list(model.graph.node)
        self.tensors = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}

    def add(self, name: str, value: np.ndarray) -> str:
        """Add an initializer; returns its name."""
        self.tensors[name] = np.ascontiguousarray(value)
        return name

    def consumers(self, name: str) -> list[Node]:
        """Nodes that read a tensor."""
        return [node for node in self.nodes if name in node.input]

    def with_nodes(self, nodes: Iterable[Node]) -> onnx.ModelProto:
        """The model with these nodes and the initializers that they use."""
        kept = list(nodes)
        used = {name for node in kept for name in node.input}
        graph = self.model.graph
        initializers = [numpy_helper.from_array(v, name) for name, v in self.tensors.items() if name in used]
        return helper.make_model(
            helper.make_graph(kept, graph.name, graph.input, graph.output, initializers),
            opset_imports=self.model.opset_import,
            ir_version=self.model.ir_version,
        )


def _own(kind: str, inputs: list[str], outputs: list[str], **options: Any) -> Node:
    return helper.make_node(kind, inputs, outputs, outputs[0], domain=DOMAIN, **options)


def _plain(kind: str, inputs: list[str], outputs: list[str], **options: Any) -> Node:
    return helper.make_node(kind, inputs, outputs, outputs[0], **options)


def _attributes(node: Node) -> dict[str, object]:
    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


def _shares(node: Node) -> bool:
    """Whether a product shares its quantised input with others."""
    return node.op_type == "MatMulIntegerToFloat"


def pack_qkv(graph: Graph) -> list[Node]:
    """Queries, keys and values of a layer as one product and a Split."""
    nodes: list[Node] = []
    done: set[str] = set()
    for node in graph.nodes:
        if not _shares(node):
            nodes.append(node)
        elif node.input[0] not in done:
            done.add(node.input[0])
            three = [each for each in graph.consumers(node.input[0]) if _shares(each)]
            stem = node.output[0]
            weights, scales, biases = (
                graph.add(f"{stem}/packed{place}", np.concatenate([graph.tensors[n.input[place]] for n in three], -1))
                for place in (1, 3, 6)
            )
            quantised, scale, zero = node.input[0], node.input[2], node.input[4]
            inputs = [quantised, weights, scale, scales, zero, node.input[5], biases]
            nodes.append(_own("MatMulIntegerToFloat", inputs, [f"{stem}/packed"]))
            parts = [each.output[0] for each in three]
            nodes.append(_plain("Split", [f"{stem}/packed"], parts, axis=-1, num_outputs=len(parts)))
    return _sort(nodes)


def quantise_separately(graph: Graph) -> list[Node]:
    """Queries, keys and values quantise their input separately."""
    sources = {node.output[0]: node.input[0] for node in graph.nodes if node.op_type == "DynamicQuantizeLinear"}
    return [
        _own("DynamicQuantizeMatMul", [sources[n.input[0]], n.input[1], n.input[3], *n.input[5:]], list(n.output))
        if _shares(n)
        else n
        for n in graph.nodes
        if n.op_type != "DynamicQuantizeLinear"
    ]


def quantise_before_products(graph: Graph) -> list[Node]:
    """Quantisation and product as two operators instead of one."""
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.op_type != "DynamicQuantizeMatMul":
            nodes.append(node)
            continue
        stem, (activation, weights, scales, *rest) = node.output[0], node.input
        parts = [f"{stem}/{part}" for part in ("q", "scale", "zero")]
        nodes.append(_plain("DynamicQuantizeLinear", [activation], parts))
        inputs = [parts[0], weights, parts[1], scales, parts[2], *rest]
        nodes.append(_own("MatMulIntegerToFloat", inputs, [stem]))
    return nodes


def unsigned_weights(graph: Graph) -> list[Node]:
    """Weights as uint8 with a zero point of 128."""
    nodes: list[Node] = []
    for node in graph.nodes:
        place = {"DynamicQuantizeMatMul": 3, "MatMulIntegerToFloat": 5}.get(node.op_type)
        if place is None:
            nodes.append(node)
            continue
        inputs = list(node.input)
        codes = graph.tensors[inputs[1]]
        inputs[place] = graph.add(f"{inputs[1]}/zero", np.full(codes.shape[1], 128, np.uint8))
        inputs[1] = graph.add(f"{inputs[1]}/unsigned", (codes.astype(np.int16) + 128).astype(np.uint8))
        nodes.append(_own(node.op_type, inputs, list(node.output)))
    return nodes


def products_and_softmax(graph: Graph) -> list[Node]:
    """Attention as products over all heads, with a softmax in between."""
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.op_type == "MultiHeadAttention":
            nodes += _attention(graph, node)
        else:
            nodes.append(node)
    return nodes


def _attention(graph: Graph, node: Node) -> list[Node]:
    options, stem = _attributes(node), node.output[0]
    split = graph.add("split_heads", np.array([0, 0, options["num_heads"], -1]))
    join = graph.add("join_heads", np.array([0, 0, -1]))
    # Queries and values (texts, heads, tokens, size), keys (texts, heads, size, tokens).
    orders = {"q": [0, 2, 1, 3], "k": [0, 2, 3, 1], "v": [0, 2, 1, 3]}
    nodes = []
    for source, (name, order) in zip(node.input, orders.items(), strict=True):
        nodes.append(_plain("Reshape", [source, split], [f"{stem}/{name}/heads"]))
        nodes.append(_plain("Transpose", [f"{stem}/{name}/heads"], [f"{stem}/{name}"], perm=order))
    nodes += [
        _own("FusedMatMul", [f"{stem}/q", f"{stem}/k"], [f"{stem}/scores"], alpha=options["scale"]),
        _plain("Softmax", [f"{stem}/scores"], [f"{stem}/weights"], axis=-1),
        _plain("MatMul", [f"{stem}/weights", f"{stem}/v"], [f"{stem}/context"]),
        _plain("Transpose", [f"{stem}/context"], [f"{stem}/merged"], perm=[0, 2, 1, 3]),
        _plain("Reshape", [f"{stem}/merged", join], [stem]),
    ]
    return nodes


def products_for_short_texts(graph: Graph, limit: int = 96) -> list[Node]:
    """`products_and_softmax` up to ``limit`` tokens, else the operator: two branches in every layer."""
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.op_type != "MultiHeadAttention":
            nodes.append(node)
            continue
        if "is_short" not in {each.output[0] for each in nodes}:
            nodes += [
                _plain("Shape", [node.input[0]], ["is_short/size"], start=1, end=2),
                _plain("Squeeze", ["is_short/size"], ["is_short/tokens"]),
                _plain("LessOrEqual", ["is_short/tokens", graph.add("is_short/limit", np.array(limit))], ["is_short"]),
            ]
        stem = node.output[0]
        short, long = Node(), Node()
        short.CopyFrom(node)
        long.CopyFrom(node)
        short.output[0], long.output[0] = f"{stem}/short", f"{stem}/long"
        nodes.append(
            _plain(
                "If",
                ["is_short"],
                [stem],
                then_branch=_branch(_attention(graph, short), graph),
                else_branch=_branch([long], graph),
            )
        )
    return nodes


def _branch(nodes: list[Node], graph: Graph) -> onnx.GraphProto:
    """A branch of an If; its initializers get new names."""
    own = []
    for node in nodes:
        for place, name in enumerate(node.input):
            if name in graph.tensors:
                node.input[place] = f"{nodes[-1].output[0]}/{name}"
                own.append(numpy_helper.from_array(graph.tensors[name], node.input[place]))
    result = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)
    unique = list({each.name: each for each in own}.values())
    return helper.make_graph(nodes, nodes[-1].output[0], [], [result], unique)


def attention_with_bias(graph: Graph) -> list[Node]:
    """The attention operator with a bias of zeros, which shows the cost of a mask."""
    nodes: list[Node] = []
    ids = graph.model.graph.input[0].name
    zero = graph.add("zero", np.zeros(1, np.float32))
    one = graph.add("ones", np.ones(2, np.int64))
    nodes += [
        _plain("Shape", [ids], ["bias/tokens"], start=1, end=2),
        _plain("Concat", [one, "bias/tokens", "bias/tokens"], ["bias/shape"], axis=0),
        _plain("Expand", [zero, "bias/shape"], ["bias"]),
    ]
    for node in graph.nodes:
        if node.op_type == "MultiHeadAttention":
            node = _own(node.op_type, [*node.input, "", "", "bias"], list(node.output), **_attributes(node))
        nodes.append(node)
    return nodes


def wider_heads(graph: Graph, size: int = 32) -> list[Node]:
    """Heads padded with zero columns to a multiple of the vector registers' width."""
    nodes: list[Node] = []
    heads = next(int(_attributes(n)["num_heads"]) for n in graph.nodes if n.op_type == "MultiHeadAttention")  # type: ignore[call-overload]
    contexts = {node.output[0] for node in graph.nodes if node.op_type == "MultiHeadAttention"}

    def wide(name: str, axis: int) -> str:
        value = graph.tensors[name]
        shape = list(value.shape)
        apart = value.reshape(*shape[:axis], heads, -1, *shape[axis + 1 :])
        padding = [(0, 0)] * apart.ndim
        padding[axis + 1] = (0, size - apart.shape[axis + 1])
        fill = 1 if name.endswith("_scale") else 0
        shape[axis] = heads * size
        return graph.add(f"{name}/wide", np.pad(apart, padding, constant_values=fill).reshape(shape))

    for node in graph.nodes:
        inputs = list(node.input)
        if _shares(node):
            inputs[1], inputs[3], inputs[6] = wide(inputs[1], 1), wide(inputs[3], 0), wide(inputs[6], 0)
        elif node.op_type == "DynamicQuantizeMatMul" and inputs[0] in contexts:
            inputs[1] = wide(inputs[1], 0)
        changed = Node()
        changed.CopyFrom(node)
        changed.input[:] = inputs
        nodes.append(changed)
    return nodes


def skip_layer_norm(graph: Graph) -> list[Node]:
    """A residual and its norm as one operator."""
    sums = {node.output[0]: node for node in graph.nodes if node.op_type == "Add"}
    fused = {
        node.output[0]: sums[node.input[0]]
        for node in graph.nodes
        if node.op_type == "LayerNormalization"
        and node.input[0] in sums
        and len(graph.consumers(node.input[0])) == 1
        and not set(sums[node.input[0]].input) & set(graph.tensors)
    }
    gone = {node.output[0] for node in fused.values()}
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.output[0] in fused:
            inputs = [*fused[node.output[0]].input, *node.input[1:]]
            options = {"epsilon": _attributes(node)["epsilon"]}
            nodes.append(_own("SkipLayerNormalization", inputs, list(node.output), **options))
        elif node.output[0] not in gone:
            nodes.append(node)
    return nodes


def bias_gelu(graph: Graph) -> list[Node]:
    """The bias before Gelu fused with Gelu instead of the product."""
    nodes: list[Node] = []
    biases: dict[str, str] = {}
    for node in graph.nodes:
        if node.op_type == "Gelu":
            node = _own("BiasGelu", [node.input[0], biases[node.input[0]]], list(node.output))
        elif any(each.op_type == "Gelu" for each in graph.consumers(node.output[0])):
            biases[node.output[0]] = node.input[4]
            node = _own(node.op_type, list(node.input[:4]), list(node.output))
        nodes.append(node)
    return nodes


def fp32_embeddings(graph: Graph) -> list[Node]:
    """Token embeddings in fp32: four times the memory, four operators fewer."""
    (codes,) = (n for n in graph.nodes if n.op_type == "Gather" and n.input[0].endswith("_q"))
    stem, rows = codes.input[0].removesuffix("_q"), codes.output[0].removesuffix("_q")
    table = graph.add(f"{stem}/fp32", graph.tensors[f"{stem}_q"] * graph.tensors[f"{stem}_scale"])
    gone = {f"{rows}_q", f"{rows}_scale", f"{rows}_cast"}
    return [
        _plain("Gather", [table, codes.input[1]], [rows]) if node.output[0] == rows else node
        for node in graph.nodes
        if node.output[0] not in gone
    ]


def _sort(nodes: list[Node]) -> list[Node]:
    """Sort nodes topologically; otherwise keep their order."""
    produced = {name for node in nodes for name in node.output}
    done: set[str] = set()
    left, result = list(nodes), []
    while left:
        ready = [node for node in left if not (set(node.input) & produced) - done]
        if not ready:
            raise RuntimeError("the nodes have a cycle.")
        result += ready
        done |= {name for node in ready for name in node.output}
        left = [node for node in left if not set(node.output) <= done]
    return result


VARIANTS: dict[str, Rewrite] = {
    "q, k and v packed": pack_qkv,
    "q, k and v quantised apart": quantise_separately,
    "quantising before every product": quantise_before_products,
    "unsigned weights": unsigned_weights,
    "attention as products": products_and_softmax,
    "attention as products up to 96 tokens": products_for_short_texts,
    "attention with a mask": attention_with_bias,
    "heads of 32": wider_heads,
    "SkipLayerNormalization": skip_layer_norm,
    "BiasGelu": bias_gelu,
    "fp32 embeddings": fp32_embeddings,
}
"""Variant -> rewrite."""


def variants(model: onnx.ModelProto) -> dict[str, onnx.ModelProto]:
    """All `VARIANTS` of a fused int8 BERT."""
    made = {}
    for name, rewrite in VARIANTS.items():
        graph = Graph(model)
        made[name] = graph.with_nodes(rewrite(graph))
        onnx.checker.check_model(made[name])
    return made
