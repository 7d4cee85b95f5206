"""Spark: the encoder as a function for ``mapInArrow``.

```python
from latelite.integrations.spark import encoder

frame.mapInArrow(encoder("models/default-onnx"), "id string, text string, vectors array<array<float>>")
```

Spark starts a Python worker per task, so a partition loads the model once: make partitions of thousands of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from latelite.integrations import for_workers, missing
from latelite.manifest import Precision
from latelite.models import ColBERT

try:
    import pyarrow as pa
except ImportError as error:
    raise missing("pyarrow", "spark", error) from error


def encoder(
    bundle: str | Path, *, column: str = "text", precision: Precision | None = None, pool_factor: int = 1
) -> Callable[[Iterator[Any]], Iterator[Any]]:
    """A function that adds the column ``vectors`` (array<array<float>>, tokens x dim) behind those of each batch.

    Args:
        bundle: folder at the same path on every node, or name of a model that is installed on each.
        column: holds the texts; the function raises TypeError where one is null.
        precision: give it where nodes differ, see `latelite.models.ColBERT`.
        pool_factor: token pooling of the documents.
    """

    folder = for_workers(bundle)

    def encode(batches: Iterator[Any]) -> Iterator[Any]:
        model = ColBERT(folder, precision=precision, threads=1)
        for batch in batches:
            texts = batch.column(column).to_pylist()
            encoded = model.encode_document(texts, show_progress_bar=False, pool_factor=pool_factor)
            rows = np.concatenate([np.empty((0, model.dim), np.float32), *encoded])
            tokens = pa.ListArray.from_arrays(_offsets([model.dim] * len(rows)), pa.array(rows.reshape(-1)))
            yield batch.append_column("vectors", pa.ListArray.from_arrays(_offsets([*map(len, encoded)]), tokens))

    return encode


def _offsets(lengths: list[int]) -> Any:
    return pa.array(np.cumsum([0, *lengths]), pa.int32())
