"""One graph, any number of threads: the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from latelite import session
from latelite.bundle import Bundle
from latelite.session import Session
from latelite.tokenization import Tokens

LENGTHS = (1, 2, 7, 63, 64, 65, 120, 127, 128)


def tokens(length: int) -> Tokens:
    ids = np.random.default_rng(length).integers(5, 300, length)
    return Tokens(ids=ids, attention=np.ones_like(ids), keep=np.ones(length, dtype=bool))


@pytest.fixture(params=["int8", "fp32"])
def graph(request: pytest.FixtureRequest, bundle: Callable[[str], Path]) -> Callable[[int], Session]:
    """Threads -> session."""
    found = Bundle(bundle("bert-pylate"))
    return lambda threads: Session(found.graph_path(request.param), found.manifest, threads=threads)


@pytest.mark.parametrize("threads", [2, 3, 4])
def test_threads_that_share_a_text_give_its_bytes(
    graph: Callable[[int], Session], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_SHARED", 1)
    one, several = graph(1), graph(threads)
    for length in LENGTHS:
        text = tokens(length)
        assert several.run(text, alone=True).tobytes() == one.run(text).tobytes()


def test_the_second_session_is_made_for_long_texts_without_company_only(
    graph: Callable[[int], Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    def load(path: str, *, sess_options: onnxruntime.SessionOptions, providers: list[str]) -> object:
        made.append(sess_options.intra_op_num_threads)
        return real(path, sess_options=sess_options, providers=providers)

    real = onnxruntime.InferenceSession
    monkeypatch.setattr(onnxruntime, "InferenceSession", load)
    monkeypatch.setattr(session, "_SHARED", 64)
    one, two = graph(1), graph(2)
    assert made == [1, 1]
    one.run(tokens(64), alone=True)
    two.run(tokens(63), alone=True)
    two.run(tokens(64))
    assert made == [1, 1]
    with ThreadPoolExecutor(4) as workers:
        list(workers.map(lambda _: two.run(tokens(64), alone=True), range(8)))
    assert made == [1, 1, 2]
