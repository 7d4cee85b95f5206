"""Chooses the int8 plan: which products lose too much precision, and the remedy for each.

Plain dynamic quantisation gives all channels of an activation one scale, so that a channel with outliers takes
precision from the others. There are two remedies, the cheaper one first:

* *smoothing*: multiply the activation by a factor per channel and divide the weights by it (SmoothQuant, Xiao et al.
  2023, equation 4: factor_j = max|W_j|^(1-a) / max|X_j|^a). Exact except for rounding, at the cost of one elementwise
  product: on multilingual-e5-small 1 to 4 % of the time, where keeping the same products in fp32 takes 50 %.
* *fp32*: do not quantise the product.

Both are applied to the worst products only, to as few as reach the goal.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from latelite_export.graph import input_names
from latelite_export.quantize import Cache, Plan, Product, Scheme, products, quantize, round_weights
from latelite_export.ranking import maxsim, overlap
from latelite_export.reference import Sample
from latelite_export.verify import device_session

logger = logging.getLogger(__name__)

Floats = NDArray[np.float32]

_EXPONENTS = (0.5, 0.6, 0.7, 0.8, 0.9)
_WORKERS = 2
_PROBE_TOKENS = 1000  # enough to compare products with each other; whole plans are measured on all texts
_WORTHWHILE = 0.9  # smooth a product only if that leaves at most this share of its error


@dataclass(frozen=True)
class Goal:
    """The target quality of the int8 graph, measured against fp32."""

    mean: float
    """Mean token cosine."""
    percentile: float
    """First percentile of the token cosine."""
    overlap: float
    """Mean overlap of each query's ten best documents."""


@dataclass(frozen=True)
class Quality:
    """The measured quality of an int8 graph; see `Goal`."""

    mean: float
    percentile: float
    overlap: float

    def reaches(self, goal: Goal) -> bool:
        """Whether every figure meets the goal."""
        return self.mean >= goal.mean and self.percentile >= goal.percentile and self.overlap >= goal.overlap

    def as_dict(self) -> dict[str, float]:
        """Rounded, for the report."""
        return {
            "cosine_mean": round(self.mean, 5),
            "cosine_p1": round(self.percentile, 5),
            "top10_overlap": round(self.overlap, 4),
        }


@dataclass(frozen=True)
class Repair:
    """The chosen plan, and the measurements behind it."""

    plan: Plan
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Group:
    """Products with the same input activation, and therefore the same scale."""

    input: str
    products: tuple[Product, ...]

    @property
    def names(self) -> list[str]:
        return [product.name for product in self.products]


def repair(
    model: onnx.ModelProto,
    scheme: Scheme,
    samples: Sequence[Sample],
    goal: Goal,
    minimum: Goal,
    on_step: Callable[[str], None] = lambda _: None,
) -> Repair:
    """Choose how to quantise ``model``.

    Args:
        model: the fp32 graph.
        scheme: an int8 scheme.
        samples: real texts to measure on.
        goal: products are smoothed, which costs almost nothing, until this is reached.
        minimum: products are kept in fp32, which costs speed, until this is reached.
        on_step: progress callback.

    Returns:
        The plan. It may miss ``minimum``; the gate decides.
    """
    bench = _Bench(model, scheme, samples)
    plain = bench.quality(Plan())
    details: dict[str, Any] = {"plain": plain.as_dict()}
    if plain.reaches(goal):
        return Repair(Plan(), details)
    on_step(
        f"plain int8 has token cosine {plain.mean:.4f} (1st percentile {plain.percentile:.4f}); measuring each product"
    )
    groups = _groups(model)
    errors = bench.errors(groups)
    ranked = sorted(groups, key=lambda group: -errors[group.input].plain)
    details["errors"] = {name: round(errors[group.input].plain, 6) for group in ranked[:8] for name in group.names}
    factors = {name: error.factors for name, error in errors.items() if error.factors is not None}
    exponents = {name: error.exponent for name, error in errors.items()}
    smoothable = [group.input for group in ranked if group.input in factors]

    def plan_smoothing(count: int) -> Plan:
        return Plan(factors={name: factors[name] for name in smoothable[:count]})

    on_step(f"smoothing the inputs of up to {len(smoothable)} products")
    count, quality = _fewest(len(smoothable), lambda count: bench.quality(plan_smoothing(count)), goal)
    plan = plan_smoothing(count)
    if not quality.reaches(minimum):
        on_step(f"token cosine {quality.mean:.4f} (1st percentile {quality.percentile:.4f}); keeping products in fp32")
        contributions = bench.contributions(groups, plan)
        order = _by_benefit(groups, contributions)
        details["contributions"] = {
            name: round(contributions[group.input], 6) for group in order[:8] for name in group.names
        }

        def plan_fp32(number: int) -> Plan:
            return Plan(fp32=frozenset(name for group in order[:number] for name in group.names), factors=plan.factors)

        number, quality = _fewest(len(order), lambda number: bench.quality(plan_fp32(number)), minimum)
        plan = plan_fp32(number)
    readable = {group.input: group.names for group in groups}
    details["smoothed"] = {name: exponents[i] for i in plan.factors for name in readable[i] if name not in plan.fp32}
    details["fp32"] = [product.name for product in products(model) if product.name in plan.fp32]
    details["repaired"] = quality.as_dict()
    logger.info("repaired: %s", details)
    return Repair(plan, details)


def _groups(model: onnx.ModelProto) -> list[_Group]:
    by_input: dict[str, list[Product]] = {}
    for product in products(model):
        by_input.setdefault(product.input, []).append(product)
    return [_Group(name, tuple(members)) for name, members in by_input.items()]


def _by_benefit(groups: Sequence[_Group], contributions: Mapping[str, float]) -> list[_Group]:
    """Sorted by error removed per multiplication moved to fp32, most first."""
    return sorted(groups, key=lambda g: -contributions[g.input] / sum(product.size for product in g.products))


def _fewest(most: int, measure: Callable[[int], Quality], goal: Goal) -> tuple[int, Quality]:
    """The smallest count whose quality reaches the goal, by bisection; ``most`` if none does."""
    best = most, measure(most)
    if not best[1].reaches(goal):
        return best
    low, high = 0, most  # low is known to fail
    while high - low > 1:
        middle = (low + high) // 2
        quality = measure(middle)
        if quality.reaches(goal):
            high, best = middle, (middle, quality)
        else:
            low = middle
    return best


@dataclass(frozen=True)
class _Error:
    """Relative squared error of a group's products in int8."""

    plain: float
    factors: Floats | None = None
    """Best smoothing factors (channels,); None if smoothing does not help."""
    exponent: float = 0.0


class _Bench:
    """Measures int8 variants of a graph against its fp32 form, on the same texts."""

    def __init__(self, model: onnx.ModelProto, scheme: Scheme, samples: Sequence[Sample]) -> None:
        self._model = model
        self._scheme = scheme
        self._samples = samples
        self._cache: Cache = {}
        self._expected = _encode(model, samples)
        self._scores = self._rank(self._expected)
        tokens = sum(len(sample.ids) for sample in samples)
        self._probe = slice(0, None, max(1, round(tokens / _PROBE_TOKENS)))

    def quality(self, plan: Plan) -> Quality:
        """Quality of a plan on all texts."""
        actual = self._encode(plan, self._samples)
        cosines = _cosines(actual, self._expected)
        shares = overlap(self._scores, self._rank(actual))
        return Quality(float(cosines.mean()), float(np.quantile(cosines, 0.01)), float(np.mean(shares)))

    def contributions(self, groups: Sequence[_Group], plan: Plan) -> dict[str, float]:
        """For each group, the gain in mean cosine if its products are in fp32 and all others in int8."""
        samples, expected = self._samples[self._probe], self._expected[self._probe]

        def mean(variant: Plan) -> float:
            return float(_cosines(self._encode(variant, samples), expected).mean())

        base = mean(plan)
        return {group.input: mean(Plan(plan.fp32.union(group.names), plan.factors)) - base for group in groups}

    def errors(self, groups: Sequence[_Group]) -> dict[str, _Error]:
        """For each group, the error of its products on the probe, plain and smoothed."""
        tensors = {tensor.name: tensor for tensor in self._model.graph.initializer}
        activations = self._activations([group.input for group in groups])
        result = {}
        for group in groups:
            weights = np.concatenate([numpy_helper.to_array(tensors[p.weight]) for p in group.products], axis=1)
            result[group.input] = _measure_smoothing(activations[group.input], weights, self._scheme)
        return result

    def _encode(self, plan: Plan, samples: Sequence[Sample]) -> list[Floats]:
        return _encode(quantize(self._model, self._scheme, plan, cache=self._cache), samples)

    def _rank(self, vectors: Sequence[Floats]) -> Floats:
        """Scores (queries, documents)."""
        queries = [v for v, sample in zip(vectors, self._samples, strict=True) if sample.is_query]
        documents = [v for v, sample in zip(vectors, self._samples, strict=True) if not sample.is_query]
        return maxsim(queries, documents)

    def _activations(self, names: Sequence[str]) -> dict[str, list[Floats]]:
        """For each tensor, one array (tokens, channels) per text of the probe."""
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        model.graph.output.extend(onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, None) for n in names)
        session = device_session(model)
        result: dict[str, list[Floats]] = {name: [] for name in names}
        for sample in self._samples[self._probe]:
            for name, value in zip(names, session.run(list(names), sample.feed(input_names(model))), strict=True):
                result[name].append(value[0])
        return result


def _measure_smoothing(texts: Sequence[Floats], weights: Floats, scheme: Scheme) -> _Error:
    """The error of plain quantisation, and the best smoothing factors if they reduce it enough."""
    # One large product per exponent: thousands of small ones would wait for BLAS threads on a busy machine.
    tokens = np.concatenate(texts)
    starts = np.cumsum([0, *(len(text) for text in texts[:-1])])
    exact = tokens @ weights

    def error(factors: Floats) -> float:
        even = _round_activations(tokens * factors, starts)
        return float(np.square(even @ round_weights(weights / factors[:, None], scheme) - exact).sum())

    total = float(np.square(exact).sum()) or 1.0
    max_activation = np.abs(tokens).max(axis=0)
    max_weight = np.abs(weights).max(axis=1)
    plain = error(np.ones_like(max_activation)) / total
    best, found = plain * _WORTHWHILE, _Error(plain)
    for exponent in _EXPONENTS:
        factors = _balance(max_activation, max_weight, exponent)
        if (left := error(factors) / total) < best:
            best, found = left, _Error(plain, factors, exponent)
    return found


def _cosines(first: Sequence[Floats], second: Sequence[Floats]) -> Floats:
    """Cosine of every token, (tokens,)."""
    return np.concatenate([np.einsum("td,td->t", a, b) for a, b in zip(first, second, strict=True)])


def _balance(max_activation: Floats, max_weight: Floats, exponent: float) -> Floats:
    """Smoothing factors (channels,); 1 for channels that are always zero or unused."""
    usable = (max_activation > 0) & (max_weight > 0)
    activation, weight = np.where(usable, max_activation, 1), np.where(usable, max_weight, 1)
    return (weight ** (1 - exponent) / activation**exponent).astype(np.float32)


def _round_activations(tokens: Floats, starts: NDArray[np.int64]) -> Floats:
    """Activations (tokens, channels) rounded as by DynamicQuantizeLinear; each text, from its start, is one tensor."""
    low = np.minimum(np.minimum.reduceat(tokens.min(axis=1), starts), np.float32(0))
    high = np.maximum(np.maximum.reduceat(tokens.max(axis=1), starts), np.float32(0))
    step = (high - low) / np.float32(255)
    step[step == 0] = 1
    steps = np.repeat(step, np.diff([*starts, len(tokens)]))[:, None]
    return (np.rint(tokens / steps) * steps).astype(np.float32, copy=False)


def _encode(model: onnx.ModelProto, samples: Sequence[Sample]) -> list[Floats]:
    """The kept token vectors of each text. Texts run one by one on one thread, so every run gives the same bytes."""
    session, inputs = device_session(model), input_names(model)
    with ThreadPoolExecutor(_WORKERS) as workers:
        return list(workers.map(lambda s: session.run(None, s.feed(inputs))[0][0][s.keep], samples))
