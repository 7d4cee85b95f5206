"""int8 grids: error bounds, when one is shared, and that merging does not wear vectors out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latelite import indexes
from latelite.storage.quantisation import FIT_TOKENS, Grid, best_grid


def tokens(count: int, *, seed: int = 0, dim: int = 32) -> Any:
    """Anisotropic normalised vectors whose dimensions differ in spread."""
    shape = np.random.default_rng(42)
    spread, mean = np.exp(shape.normal(0, 0.5, dim)), shape.standard_normal(dim)
    rows = np.random.default_rng(seed).standard_normal((count, dim)) * spread + mean
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def fitted(rows: np.ndarray) -> Grid:
    return Grid.fit(rows.min(axis=0), rows.max(axis=0))


def surveyed(known: Grid | None, rows: np.ndarray) -> Grid | None:
    return best_grid(known, lambda: np.array_split(rows, 7))


def squared_error(grid: Grid, rows: np.ndarray) -> float:
    return float(((grid.decode(grid.encode(rows.copy())) - rows) ** 2).sum(dtype=np.float64))


def test_rounding_is_at_most_half_a_step_and_the_range_is_used_whole() -> None:
    rows = tokens(5000)
    grid = fitted(rows)
    codes = grid.encode(rows)
    assert codes.dtype == np.int8
    assert (codes.min(axis=0) == -127).all()
    assert (codes.max(axis=0) == 127).all()
    assert (np.abs(grid.decode(codes) - rows) <= grid.scale * 0.5001).all()


def test_codes_survive_decoding_and_encoding() -> None:
    codes = np.random.default_rng(0).integers(-127, 128, (1000, 32)).astype(np.int8)
    grid = fitted(tokens(100))
    np.testing.assert_array_equal(grid.encode(grid.decode(codes)), codes)


def test_constant_dimensions() -> None:
    rows = np.tile(np.array([[0.5, -3.0, 0.0]], np.float32), (10, 1))
    grid = fitted(rows)
    np.testing.assert_array_equal(grid.decode(grid.encode(rows)), rows)
    assert surveyed(grid, rows) is grid


def test_values_outside_are_clipped_not_wrapped() -> None:
    grid = Grid.fit(np.array([-1.0], np.float32), np.array([1.0], np.float32))
    np.testing.assert_allclose(grid.decode(grid.encode(np.array([[5.0], [-5.0]], np.float32))), [[1.0], [-1.0]])


def test_a_grid_is_shared_while_vectors_stay_in_its_range() -> None:
    grid = fitted(tokens(50_000))
    more = tokens(40_000, seed=1)
    assert surveyed(grid, more[:100]) is grid
    assert surveyed(grid, more) is grid
    assert surveyed(grid, 1.5 * more) == surveyed(None, 1.5 * more)  # too many beyond the range
    outlier = more.copy()
    outlier[7, 3] = 2.0
    assert surveyed(grid, outlier) == surveyed(None, outlier)  # a single one, but far
    assert surveyed(grid, 0.1 * more) == surveyed(None, 0.1 * more)  # steps far too coarse


def test_rare_components_far_out_are_clipped_for_the_sake_of_the_others() -> None:
    rows = tokens(50_000)
    far = np.random.default_rng(3).random(rows.shape) < 2e-4
    rows[far] *= 4
    grid, span = surveyed(None, rows), fitted(rows)
    assert grid is not None
    assert (grid.scale < span.scale).all()
    assert squared_error(grid, rows) < 0.92 * squared_error(span, rows)


def test_a_grid_ends_where_no_other_ends_make_less_error() -> None:
    rows = np.random.default_rng(0).standard_t(4, (FIT_TOKENS, 3)).astype(np.float32)
    grid = surveyed(None, rows)
    assert grid is not None
    least = squared_error(grid, rows)
    reach = 127 * grid.scale
    for low, high in ((0.9, 1.0), (1.1, 1.0), (1.0, 0.9), (1.0, 1.1)):
        other = Grid.fit(grid.offset - low * reach, grid.offset + high * reach)
        assert least < squared_error(other, rows)


def test_even_components_use_the_whole_span() -> None:
    rows = np.random.default_rng(0).uniform(-3, 5, (FIT_TOKENS, 4)).astype(np.float32)
    assert surveyed(None, rows) == fitted(rows)


def test_too_few_vectors_make_no_grid() -> None:
    rows = tokens(FIT_TOKENS)
    assert surveyed(None, rows[:-1]) is None
    assert surveyed(None, rows) is not None
    assert surveyed(fitted(0.1 * rows), rows[:100]) is None
    assert best_grid(None, lambda: []) is None


@pytest.mark.parametrize("step", [5, 40])
def test_many_small_adds_store_as_precisely_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    corpus = np.split(tokens(400 * 200), 400)
    once = indexes.Exact(tmp_path, "once").add_documents(range(400), corpus)
    grown = indexes.Exact(tmp_path, "grown")
    for start in range(0, 400, step):
        grown.add_documents(range(start, start + step), corpus[start : start + step])

    def error(index: indexes.Exact) -> float:
        difference = np.concatenate(index.get_documents_embeddings(range(400))) - np.concatenate(corpus)
        assert np.abs(difference).max() < 0.3
        return float(np.sqrt(np.mean(difference**2)))

    baseline = error(once)
    assert error(grown) < 1.25 * baseline
    grown.compact()
    assert error(grown) < 1.25 * baseline
    for _ in range(10):  # compaction after compaction copies codes: not one more rounding
        before = error(grown)
        grown.remove_documents([0]).compact().add_documents([0], corpus[:1]).compact()
        assert error(grown) == pytest.approx(before, rel=0.01)
