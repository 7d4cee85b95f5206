"""Matching the student's tokens to the teacher's."""

import numpy as np
import pytest
from recipe.teacher import align_tokens


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
    assert align_tokens(student, teacher) == expected


def test_covering_agrees_with_looking_at_every_pair() -> None:
    draw = np.random.default_rng(0)

    def split(length: int) -> list[tuple[int, int]]:
        ends = sorted({*draw.integers(1, length, 6).tolist(), length})
        return list(zip([0, *ends[:-1]], ends, strict=True))

    for _ in range(200):
        student, teacher = split(30), split(30)
        for (start, end), found in zip(student, align_tokens(student, teacher), strict=True):
            shared = [min(end, other) - max(start, first) for first, other in teacher]
            assert shared[found] == max(shared)
