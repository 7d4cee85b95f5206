"""Spark: a local session of two workers gives the vectors of a plain encoder."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyspark", reason="pyspark is not installed: make test-integrations")
if shutil.which("java") is None:
    pytest.skip("Spark needs Java 17", allow_module_level=True)

from pyspark.sql import SparkSession

from latelite.integrations.spark import encoder
from latelite.models import ColBERT

from .conftest import BUNDLE
from .examples import run_example, run_line

TEXTS = [f"Text number {n} about bread, trains and the weather. " * (1 + n % 4) for n in range(60)]


@pytest.fixture(scope="module")
def frame() -> Iterator[Any]:
    os.environ["PYSPARK_PYTHON"] = sys.executable
    session = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", 16)
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    yield session.createDataFrame(
        [(str(n), text) for n, text in enumerate(TEXTS)], "id string, text string"
    ).repartition(2)
    session.stop()


@pytest.fixture(scope="module")
def plain() -> ColBERT:
    return ColBERT(BUNDLE, precision="int8", threads=1)


@pytest.mark.parametrize("pool_factor", [1, 2])
def test_two_workers_give_the_vectors_of_one_encoder(frame: Any, plain: ColBERT, pool_factor: int) -> None:
    made = frame.mapInArrow(
        encoder(BUNDLE, precision="int8", pool_factor=pool_factor),
        "id string, text string, vectors array<array<float>>",
    )
    found = {row.id: np.asarray(row.vectors, np.float32) for row in made.collect()}
    assert len(found) == len(TEXTS)
    for n, vectors in enumerate(plain.encode_document(TEXTS, pool_factor=pool_factor)):
        np.testing.assert_array_equal(found[str(n)], vectors)


def test_a_null_is_no_text(frame: Any) -> None:
    with pytest.raises(Exception, match="texts must be str, not NoneType"):
        frame.selectExpr("id", "cast(null as string) as text").mapInArrow(
            encoder(BUNDLE, precision="int8"), "id string, text string, vectors array<array<float>>"
        ).collect()


@pytest.mark.usefixtures("project")
def test_the_documentations_examples_run(frame: Any) -> None:
    for made in (run_example("latelite.integrations.spark", frame=frame)["value"], run_line("mapInArrow", frame=frame)):
        assert len(made.limit(3).collect()[0].vectors[0]) == 128


def test_a_relative_bundle_is_found_from_another_folder(frame: Any, project: Any) -> None:
    (project / "models").rename(project / "elsewhere")  # where the workers work there is no such folder
    made = frame.limit(2).mapInArrow(
        encoder("elsewhere/default-onnx"), "id string, text string, vectors array<array<float>>"
    )
    assert made.count() == 2
