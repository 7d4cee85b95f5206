"""Ray Data: the same vectors as a plain encoder, also when a worker dies."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

pytest.importorskip("ray", reason="ray is not installed: make test-integrations")

import ray
import ray.data

from latelite.integrations.ray import encode, write_shards
from latelite.integrations.shards import Shards
from latelite.models import ColBERT

from .conftest import BUNDLE
from .examples import run_example, run_line

pytestmark = pytest.mark.usefixtures("cluster")

TEXTS = [f"Text number {n} about bread, trains and the weather. " * (1 + n % 4) for n in range(120)]


def test_two_workers_give_the_vectors_of_one_encoder(encoder: ColBERT, tmp_path: Path) -> None:
    dataset = ray.data.from_items([{"id": str(n), "text": text} for n, text in enumerate(TEXTS)])
    encode(dataset, str(BUNDLE), workers=2, precision="int8", batch_size=16).write_parquet(str(tmp_path))
    rows = ray.data.read_parquet(str(tmp_path)).take_all()
    found = {row["id"]: np.asarray(row["vectors"]) for row in rows}
    assert len(rows) == len(found) == len(TEXTS)
    for n, vectors in enumerate(encoder.encode_document(TEXTS)):
        np.testing.assert_array_equal(found[str(n)], vectors)


def test_nothing_is_lost_or_doubled_when_a_worker_is_killed() -> None:
    killed: list[int] = []

    def kill_one_worker() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not killed:
            for folder in Path("/proc").glob("[0-9]*"):
                try:
                    if b"MapWorker(MapBatches(Encode))" in (folder / "cmdline").read_bytes():
                        time.sleep(0.5)
                        os.kill(int(folder.name), signal.SIGKILL)
                        killed.append(int(folder.name))
                        return
                except OSError:
                    continue
            time.sleep(0.05)

    killer = Thread(target=kill_one_worker)
    dataset = ray.data.from_items([{"id": str(n), "text": text * 5} for n, text in enumerate(TEXTS * 4)])
    killer.start()
    rows = encode(dataset, str(BUNDLE), workers=2, precision="int8", batch_size=8).take_all()
    killer.join()
    assert killed
    assert sorted(row["id"] for row in rows) == sorted(str(n) for n in range(len(TEXTS) * 4))


def test_a_relative_bundle_is_found_from_another_folder(project: Path) -> None:
    (project / "models").rename(project / "elsewhere")  # where the workers work there is no such folder
    dataset = ray.data.from_items([{"id": 1, "text": "Rye bread."}])
    assert encode(dataset, "elsewhere/default-onnx", workers=1).count() == 1
    written = write_shards(dataset, "shards", "elsewhere/default-onnx", shards=1, workers=1)
    assert written.documents == 1


def test_the_documentations_examples_run(project: Path) -> None:
    """With eight workers in a cluster of three CPUs: data is read and written nevertheless."""
    rows = [{"id": n, "text": f"Note {n} about bread and trains.", "year": 2000 + n} for n in range(20)]
    dataset = ray.data.from_items(rows)
    dataset.write_parquet(str(project / "texts"))
    run_example("latelite.integrations.ray", data=project)
    assert ray.data.read_parquet(str(project / "vectors")).count() == len(rows)
    with Shards.open("shards") as shards:
        assert shards.search("Brot", 1, where={"year": 2003})[0].id == 3
    assert run_line("encode(dataset", dataset=dataset).count() == len(rows)
    (project / "shards").rename(project / "first")  # its documents have metadata
    assert run_line("write_shards", dataset=dataset).new == len(rows)
