"""The operators of the fused graphs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from latelite.session import session_options
from latelite_export import configuration, encoder, graph, layouts, tokenizer
from latelite_export.checkpoint import Overrides
from latelite_export.encoder import Encoder
from latelite_export.quantize import Plan, products, quantize

LAYERS = 3
"""Of the case `bert-pylate`."""


@pytest.fixture(scope="module")
def built(checkpoint: Callable[[str], Path]) -> Callable[[str], Encoder]:
    """Name of a case -> its encoder."""

    def build(name: str) -> Encoder:
        resolved = layouts.read(checkpoint(name), name, None, Overrides())
        config = configuration.read(resolved.backbone)
        return encoder.build(resolved, tokenizer.load(resolved, config.parsed), config)

    return build


@pytest.fixture(scope="module")
def bert(built: Callable[[str], Encoder]) -> onnx.ModelProto:
    model = graph.write(built("bert-pylate"), masked=False)
    assert model is not None
    return model


def kinds(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def attention(model: onnx.ModelProto, inputs: int) -> list[onnx.NodeProto]:
    """Attention operators with this many inputs: 3, or 6 with a bias."""
    return [n for n in model.graph.node if n.op_type == "MultiHeadAttention" and len(n.input) == inputs]


def test_bert_is_the_fused_operators_and_nothing_else(bert: onnx.ModelProto) -> None:
    assert kinds(bert) == {
        # embeddings
        "Gather": 1,
        "Shape": 1,
        "Slice": 1,
        # each layer: 6 products with a bias, 2 residuals; one more addition and norm in the embeddings
        "MatMul": 6 * LAYERS + 1,
        "Add": 8 * LAYERS + 1,
        "LayerNormalization": 2 * LAYERS + 1,
        "MultiHeadAttention": LAYERS,
        "Gelu": LAYERS,
        # normalisation
        "ReduceL2": 1,
        "Clip": 1,
        "Div": 1,
    }


def test_attention_has_no_mask(bert: onnx.ModelProto) -> None:
    assert [entry.name for entry in bert.graph.input] == ["input_ids"]
    assert len(attention(bert, inputs=3)) == LAYERS
    assert not attention(bert, inputs=6)


def test_a_mask_is_an_input_where_one_is_needed(built: Callable[[str], Encoder]) -> None:
    model = graph.write(built("bert-expansion"), masked=True)
    assert model is not None
    assert [entry.name for entry in model.graph.input] == ["input_ids", "attention_mask"]
    assert attention(model, inputs=3)
    assert not attention(model, inputs=6)


def test_local_attention_never_holds_all_pairs(built: Callable[[str], Encoder]) -> None:
    model = graph.write(built("modernbert"), masked=False)
    assert model is not None
    assert len(attention(model, inputs=6)) == 3  # layers 1, 2 and 4 of 5
    assert len(attention(model, inputs=3)) == 2
    assert not {"Where", "IsNaN", "Softmax"} & set(kinds(model))


def test_int8_products_are_one_operator_each(bert: onnx.ModelProto) -> None:
    model = quantize(bert, "int8")
    found = kinds(model)
    # Queries, keys and values share their quantised input.
    assert found["DynamicQuantizeLinear"] == LAYERS
    assert found["MatMulIntegerToFloat"] == 3 * LAYERS
    assert found["DynamicQuantizeMatMul"] == 3 * LAYERS + 1
    assert found["MatMul"] == 0
    assert found["Add"] == 2 * LAYERS + 1  # every bias is inside its product
    onnx.checker.check_model(model)


def test_every_int8_product_has_a_zero_point_of_its_own(bert: onnx.ModelProto) -> None:
    """Otherwise ONNX Runtime cannot convert weights to unsigned, as it must on x86 without VNNI."""
    place = {"DynamicQuantizeMatMul": 3, "MatMulIntegerToFloat": 5}
    model = quantize(bert, "int8")
    names = [node.input[place[node.op_type]] for node in model.graph.node if node.op_type in place]
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    assert len(names) == len(set(names)) == 6 * LAYERS + 1
    for name in names:
        assert tensors[name].dtype == np.int8
        assert tensors[name].tolist() == [0]
    # What is asked for there; newer releases do it on any x86.
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")
    exact, turned, seven_bits = (
        onnxruntime.InferenceSession(each.SerializeToString(), options, providers=["CPUExecutionProvider"]).run(
            None, {"input_ids": np.random.default_rng(0).integers(5, 300, (1, 40))}
        )[0]
        for each in (bert, model, quantize(bert, "int8-avx2"))
    )
    assert (exact * turned).sum(-1).mean() > (exact * seven_bits).sum(-1).mean() > 0.999


def test_products_kept_in_fp32_are_untouched(bert: onnx.ModelProto) -> None:
    names = [product.name for product in products(bert)]
    assert "backbone/encoder/layer.1/output/dense" in names
    kept = {"backbone/encoder/layer.1/output/dense", "backbone/encoder/layer.0/attention/self/query"}
    assert kept <= set(names)
    model = quantize(bert, "int8", Plan(fp32=frozenset(kept)))
    assert {product.name for product in products(model)} == kept
    assert kinds(model)["MatMulIntegerToFloat"] == 3 * LAYERS - 1


def test_factors_change_nothing_but_rounding(bert: onnx.ModelProto) -> None:
    product = next(product for product in products(bert) if product.name.endswith("layer.1/output/dense"))
    stream = np.random.default_rng(0)
    factors = {product.input: np.exp(stream.normal(size=64)).astype(np.float32)}
    ids = stream.integers(5, 300, (1, 40))
    run = [
        onnxruntime.InferenceSession(
            model.SerializeToString(), session_options(), providers=["CPUExecutionProvider"]
        ).run(None, {"input_ids": ids})[0]
        for model in (bert, quantize(bert, "int8"), quantize(bert, "int8", Plan(factors=factors)))
    ]
    for vectors in run[1:]:
        assert (run[0] * vectors).sum(-1).min() > 0.99


def test_seven_bit_weights(bert: onnx.ModelProto) -> None:
    for scheme, limit in (("int8", 127), ("int8-avx2", 63)):
        model = quantize(bert, scheme)  # type: ignore[arg-type]
        weights = [t for t in model.graph.initializer if t.name.endswith("weight_q") and "embeddings" not in t.name]
        assert weights
        assert max(int(np.abs(numpy_helper.to_array(t).astype(int)).max()) for t in weights) == limit


def test_a_residual_is_not_fused_into_its_norm(bert: onnx.ModelProto, tmp_path: Path) -> None:
    """ONNX Runtime's SkipLayerNormalization takes 6 to 8 times as long as Add and LayerNormalization."""
    for model in (bert, quantize(bert, "int8")):
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
        options.log_severity_level = 3
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        assert "SkipLayerNormalization" not in kinds(onnx.load(tmp_path / "optimised.onnx"))


def test_oldest_supported_formats(bert: onnx.ModelProto) -> None:
    """ONNX Runtime 1.20 reads IR version 10 and opset 21."""
    assert bert.ir_version <= 10
    assert {entry.domain: entry.version for entry in bert.opset_import} == {"": 20, "com.microsoft": 1}


def test_an_unknown_backbone_is_left_to_tracing(built: Callable[[str], Encoder]) -> None:
    other = built("bert-pylate")
    other.backbone.config.model_type = "unheard-of"
    assert graph.write(other, masked=False) is None


def test_relative_keys_are_left_to_tracing(built: Callable[[str], Encoder]) -> None:
    other = built("bert-pylate")
    other.backbone.config.position_embedding_type = "relative_key"
    assert graph.write(other, masked=False) is None
