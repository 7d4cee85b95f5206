"""Where do an int8 graph's answers in a browser leave those of Python, and can they come any closer?

    python benchmarks/web_rounding.py --data ../data/* --work models/build/web --save

Takes the collection of 5,000 passages that ``web.py --prepare`` makes.

``operators``  every operator of the int8 graph by itself, with the same inputs: ONNX Runtime here, ONNX Runtime's
               WebAssembly build in Node, and float64 arithmetic (integers for products of integers). Largest and mean
               differences are shares of the largest value of an output.
``answers``    the same questions, encoded four ways, all searched by Python: as it is, by the JavaScript library, and
               with one kind of operator, or all that round, computed in float64 and rounded once: how far two correct
               roundings of one graph are from each other.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import beir
import numpy as np
import onnx
import results
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnxruntime import InferenceSession
from scipy.special import erf

import web
from latelite import Collection, device, models
from latelite.search import Searcher
from latelite.session import session_options
from latelite.tokenization import Tokenization
from latelite.web.writer import write_site

Values = dict[str, NDArray[Any]]
_ROUNDING = {"LayerNormalization": "layer normalisation", "MultiHeadAttention": "attention", "Gelu": "gelu"}
"""Operators whose result depends on the order of sums, or on how a function is approximated."""
_ORT = web.ASSETS / "onnxruntime-web" / "dist" / "ort.wasm.min.mjs"
_PROBED = 8
"""Questions whose operators are looked at."""


class Graph:
    """An ONNX graph, run operator by operator."""

    def __init__(self, path: Path) -> None:
        self.model = onnx.load(path)
        self.constants = {each.name: numpy_helper.to_array(each) for each in self.model.graph.initializer}
        self.nodes = list(self.model.graph.node)
        self._sessions: dict[str, InferenceSession] = {}

    def run(self, ids: NDArray[np.int64], exactly: Sequence[str] = ()) -> Values:
        """All values by name; operators of the kinds ``exactly`` are computed in float64."""
        values = {**self.constants, "input_ids": ids[None]}
        for node in self.nodes:
            if node.op_type in exactly:
                values[node.output[0]] = exact(node, values).astype(np.float32)
            else:
                fed = {name: values[name] for name in self.inputs(node)}
                values |= dict(zip(node.output, self._session(node, values).run(None, fed), strict=True))
        return values

    def inputs(self, node: Any) -> list[str]:
        """Names of what the operator is given anew each time."""
        return [name for name in dict.fromkeys(node.input) if name and name not in self.constants]

    def alone(self, node: Any, values: Values) -> bytes:
        """A graph of this operator and its constants."""
        given = [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(values[name].dtype), [None] * values[name].ndim
            )
            for name in self.inputs(node)
        ]
        held = [each for each in self.model.graph.initializer if each.name in node.input]
        found = [helper.make_empty_tensor_value_info(name) for name in node.output]
        graph = helper.make_graph([node], "operator", given, found, held)
        one = helper.make_model(graph, opset_imports=self.model.opset_import, ir_version=self.model.ir_version)
        content: bytes = one.SerializeToString()
        return content

    def _session(self, node: Any, values: Values) -> InferenceSession:
        name = node.output[0]
        if name not in self._sessions:
            self._sessions[name] = InferenceSession(self.alone(node, values), session_options(1))
        return self._sessions[name]


def exact(node: Any, values: Values) -> NDArray[np.float64]:
    """What an operator gives in float64, and with whole numbers where it multiplies those."""
    given = [values[name].astype(np.float64) if name else None for name in node.input]
    settings = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    return _EXACT[node.op_type](given, settings)


def _matmul_integer(given: list[Any], _: Mapping[str, Any]) -> NDArray[np.float64]:
    rows, weights, step, weight_step, zero, weight_zero, bias = given
    result: NDArray[np.float64] = (rows - zero) @ (weights - weight_zero) * (step * weight_step) + bias
    return result


def _quantize(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], np.float64, np.float64]:
    """As ONNX defines it, in float32; codes, step, zero."""
    single = rows.astype(np.float32)
    low, high = min(single.min(), np.float32(0)), max(single.max(), np.float32(0))
    step = np.float32(high - low) / np.float32(255)
    zero = np.rint(np.clip(-low / step, 0, 255))
    return np.clip(np.rint(single / step) + zero, 0, 255).astype(np.float64), np.float64(step), np.float64(zero)


def _quantize_matmul(given: list[Any], settings: Mapping[str, Any]) -> NDArray[np.float64]:
    rows, weights, weight_step, weight_zero, bias = given
    codes, step, zero = _quantize(rows)
    return _matmul_integer([codes, weights, step, weight_step, zero, weight_zero, bias], settings)


def _normalize(given: list[Any], settings: Mapping[str, Any]) -> NDArray[np.float64]:
    rows, weight, bias = given
    centred = rows - rows.mean(axis=-1, keepdims=True)
    spread = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + settings["epsilon"])
    result: NDArray[np.float64] = centred / spread * weight + bias
    return result


def _attend(given: list[Any], settings: Mapping[str, Any]) -> NDArray[np.float64]:
    heads = settings["num_heads"]
    query, key, value = (each[0].reshape(each.shape[1], heads, -1).transpose(1, 0, 2) for each in given[:3])
    products = query @ key.transpose(0, 2, 1) * (settings.get("scale") or query.shape[-1] ** -0.5)
    weights = np.exp(products - products.max(axis=-1, keepdims=True))
    mixed = weights / weights.sum(axis=-1, keepdims=True) @ value
    result: NDArray[np.float64] = mixed.transpose(1, 0, 2).reshape(given[0].shape)
    return result


_EXACT: dict[str, Callable[[list[Any], Mapping[str, Any]], NDArray[np.float64]]] = {
    "MatMulIntegerToFloat": _matmul_integer,
    "DynamicQuantizeMatMul": _quantize_matmul,
    "DynamicQuantizeLinear": lambda given, _: _quantize(given[0])[0],
    "LayerNormalization": _normalize,
    "MultiHeadAttention": _attend,
    "Gelu": lambda given, _: given[0] * 0.5 * (1 + erf(given[0] / np.sqrt(2))),
    "Add": lambda given, _: given[0] + given[1],
    "Mul": lambda given, _: given[0] * given[1],
    "Div": lambda given, _: given[0] / given[1],
    "ReduceL2": lambda given, _: np.sqrt((given[0] ** 2).sum(axis=-1, keepdims=True)),
}


def operators(graph: Graph, asked: Sequence[NDArray[np.int64]]) -> dict[str, Any]:
    """Every kind of operator, here and in WebAssembly, from the same inputs."""
    runs = [graph.run(ids) for ids in asked]
    nodes = [node for node in graph.nodes if node.op_type in _EXACT]
    gathered: dict[str, list[tuple[float, ...]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        jobs = [_job(graph, node, runs, Path(scratch) / str(number)) for number, node in enumerate(nodes)]
        web.task("operators", ort=_ORT.as_uri(), jobs=jobs)
        for node, job in zip(nodes, jobs, strict=True):
            for number, values in enumerate(runs):
                here = values[node.output[0]]
                there = np.fromfile(job["runs"][number]["output"], here.dtype).reshape(here.shape).astype(np.float64)
                true = exact(node, values)
                most = np.abs(true).max()
                native, wasm = np.abs(here - true) / most, np.abs(there - true) / most
                row = (float((here != there).mean()), native.max(), native.mean(), wasm.max(), wasm.mean())
                gathered.setdefault(node.op_type, []).append(row)
    return {
        kind: {
            "outputs": len(rows),
            "share_that_differs": round(float(np.mean([row[0] for row in rows])), 4),
            "native_to_exact": {
                "largest": _short(max(r[1] for r in rows)),
                "mean": _short(np.mean([r[2] for r in rows])),
            },
            "web_to_exact": {"largest": _short(max(r[3] for r in rows)), "mean": _short(np.mean([r[4] for r in rows]))},
        }
        for kind, rows in gathered.items()
    }


def _job(graph: Graph, node: Any, runs: Sequence[Values], folder: Path) -> dict[str, Any]:
    """An operator and its inputs, as `web.mjs` reads them."""
    folder.mkdir()
    (folder / "operator.onnx").write_bytes(graph.alone(node, runs[0]))
    found = []
    for number, values in enumerate(runs):
        given: list[dict[str, Any]] = []
        for name in graph.inputs(node):
            file = folder / f"{number}-{len(given)}.bin"
            np.ascontiguousarray(values[name]).tofile(file)
            given.append({"name": name, "type": str(values[name].dtype), "dims": values[name].shape, "file": str(file)})
        found.append({"inputs": given, "output": str(folder / f"{number}-output.bin")})
    return {"graph": str(folder / "operator.onnx"), "output": node.output[0], "runs": found}


def _short(value: Any) -> float:
    return float(f"{value:.2g}")


def answers(folder: Path, bundle: Path, graph: Graph, asked: Sequence[str]) -> dict[str, Any]:
    """How far searches with differently rounded query vectors are from each other."""
    model = models.ColBERT(bundle, precision="int8")
    tokens = [tokenization(model).query(text) for text in asked]
    found = {"python": model.encode_query(list(asked), show_progress_bar=False)}
    for name, kinds in (("operators", []), *((name, [kind]) for kind, name in _ROUNDING.items()), ("all", _ROUNDING)):
        runs = [graph.run(each.ids, list(kinds))[model.manifest.output][0][each.keep] for each in tokens]
        if kinds:
            found[f"{name} in float64"] = runs
        elif not all(np.array_equal(one, other) for one, other in zip(found["python"], runs, strict=True)):
            raise SystemExit("operator by operator, the graph gives other vectors than as a whole")
    with tempfile.TemporaryDirectory() as scratch, Collection(folder, model, read_only=True) as collection:
        write_site(collection, scratch, precision="int8", assets=web.ASSETS)
        sent = web.task("vectors", site=scratch, questions=asked)
        found["javascript"] = [np.array(each, np.float32).reshape(-1, model.dim) for each in sent]
        hits = {name: searched(collection, asked, vectors, web.K) for name, vectors in found.items()}
        deeper = {name: searched(collection, asked, found[name], 2 * web.K) for name in ("python", "all in float64")}
    pairs = [("python", name) for name in found if name != "python"] + [("all in float64", "javascript")]
    return {f"{one}, {other}": web.compare(hits[one], hits[other], deeper[one]) for one, other in pairs}


def tokenization(model: models.ColBERT) -> Tokenization:
    """The model's own, which it keeps to itself."""
    return Tokenization(model.bundle.tokenizer_path, model.manifest)


def searched(
    collection: Collection, asked: Sequence[str], vectors: Sequence[NDArray[np.float32]], k: int
) -> list[web.Answers]:
    """The hits of questions with these vectors."""

    def hits(searcher: Searcher) -> list[web.Answers]:
        found: list[web.Answers] = [{} for _ in asked]
        for mode in web.MODES:
            questions = searcher.questions(asked, mode, explained=False)
            other = [replace(question, vectors=each) for question, each in zip(questions, vectors, strict=True)]
            ranked = searcher.answers(other, k, where=None, mode=mode, explained=False, min_score=None, group_by=None)
            for answer, each in zip(found, ranked, strict=True):
                answer[mode] = [(hit.id, hit.score) for hit in each]
        return found

    return collection.ask(hits)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures and, with ``--save``, keep them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=Path("models/default-onnx"))
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders in BEIR layout")
    parser.add_argument("--work", type=Path, default=Path("models/build/web"), help="as of web.py")
    parser.add_argument("--questions", type=int, default=500)
    parser.add_argument("--save", action="store_true", help="write a result file, see results.py")
    options = parser.parse_args(arguments)

    before = device.state()
    sets = [beir.load(folder) for folder in sorted(options.data) if (folder / "corpus.jsonl").exists()]
    asked = web.questions(sets, options.questions)
    model = models.ColBERT(options.bundle, precision="int8")
    graph = Graph(model.bundle.graph_path("int8"))
    probed = [tokenization(model).query(text).ids for text in asked[:_PROBED]]
    figures = {
        "bundle": {"id": model.manifest.checkpoint["id"], "fingerprint": model.manifest.fingerprint},
        "sets": [each.name for each in sets],
        "k": web.K,
        "operators": operators(graph, probed),
        "answers": answers(options.work / "passages.lt", options.bundle, graph, asked),
    }
    print(json.dumps(figures, indent=1, ensure_ascii=False))
    if options.save:
        command = "python benchmarks/web_rounding.py --data 'DATA/*'"
        result = results.result_of(
            "web", figures, part="rounding", command=command, before=before, after=device.state()
        )
        print(results.save(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
