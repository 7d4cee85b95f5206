"""Matching the student's tokens to the teacher's, and the space that the teacher's vectors are kept in."""

import numpy as np
import pytest
from recipe.teacher import DIM, Ragged, covering, fit_axes


@pytest.mark.parametrize(
    ("student", "teacher", "expected"),
    [
        ([(0, 3), (3, 6)], [(0, 3), (3, 6)], [0, 1]),
        ([(0, 3), (3, 6)], [(0, 6)], [0, 0]),
        ([(0, 6), (7, 9)], [(0, 1), (1, 6), (7, 9)], [1, 2]),
        ([(0, 2), (2, 5), (5, 9)], [(0, 3), (3, 9)], [0, 1, 1]),
        ([(0, 0), (0, 4), (4, 4), (5, 8)], [(0, 4), (5, 8)], [0, 0, 1, 1]),
    ],
)
def test_a_token_takes_the_teacher_token_that_covers_most_of_it(
    student: list[tuple[int, int]], teacher: list[tuple[int, int]], expected: list[int]
) -> None:
    assert covering(student, teacher) == expected


def test_covering_agrees_with_looking_at_every_pair() -> None:
    draw = np.random.default_rng(0)

    def split(length: int) -> list[tuple[int, int]]:
        ends = sorted({*draw.integers(1, length, 6).tolist(), length})
        return list(zip([0, *ends[:-1]], ends, strict=True))

    for _ in range(200):
        student, teacher = split(30), split(30)
        for (start, end), found in zip(student, covering(student, teacher), strict=True):
            shared = [min(end, other) - max(start, first) for first, other in teacher]
            assert shared[found] == max(shared)


def test_ragged_rows_come_back() -> None:
    rows = Ragged.of([[1, 2], [], [3]], np.int32)
    assert [rows.row(i).tolist() for i in range(3)] == [[1, 2], [], [3]]
    assert rows.lengths.tolist() == [2, 0, 1]


def test_axes_keep_the_cosines_of_the_shifted_vectors() -> None:
    """Vectors that lie in fewer dimensions than are kept lose nothing."""
    draw = np.random.default_rng(1)
    vectors = (draw.normal(size=(600, 40)) @ draw.normal(size=(40, 384)) + 5).astype(np.float32)
    axes = fit_axes(vectors)
    kept = axes(vectors)
    assert kept.shape == (600, DIM)
    shifted = vectors - 0.8 * vectors.mean(axis=0)
    shifted /= np.linalg.norm(shifted, axis=1, keepdims=True)
    np.testing.assert_allclose(kept @ kept.T, shifted @ shifted.T, atol=1e-4)
