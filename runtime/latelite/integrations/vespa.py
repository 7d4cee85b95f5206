"""Vespa: a collection as a feed of JSON lines.

The schema it is for, where 128 is the model's dimension:

```
field id type string { indexing: summary }
field text type string { indexing: summary | index }
field metadata type string { indexing: summary }
field colbert type tensor<bfloat16>(dt{}, x[128]) { indexing: attribute }
rank-profile maxsim {
    inputs { query(qt) tensor<float>(qt{}, x[128]) }
    first-phase { expression: sum(reduce(sum(query(qt) * attribute(colbert), x), max, dt), qt) }
}
```

The field ``id`` is the id as JSON. In the document id, strings stand as they are, percent-encoded, but for those that
could be taken for something else: ``"1"`` (a string) is ``%221%22``, ``1`` (an integer) is ``1``.
"""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from latelite.collection import Collection
from latelite.files import atomic_write
from latelite.integrations.rows import batches, check_file


def write(
    collection: Collection,
    path: str | Path,
    *,
    namespace: str = "latelite",
    document_type: str = "document",
    override: bool = False,
) -> int:
    """Write one ``put`` operation per document, in bounded memory; returns how many.

    The file appears whole or not at all. Floats are written with six significant digits, more than bfloat16 keeps.

    Args:
        override: replace a file that is there.

    Raises:
        OutputExistsError: there is something at ``path`` already, or a collection around it.
        FileNotFoundError: its folder does not exist.
    """
    check_file(Path(path), override)
    documents = 0
    with atomic_write(Path(path)) as file:
        for batch in batches(collection):
            for id_, text, fields, vectors in zip(
                batch.ids, batch.texts, batch.metadata_json(), batch.vectors, strict=True
            ):
                operation = {
                    "put": f"id:{namespace}:{document_type}::{_user_part(id_)}",
                    "fields": {"id": json.dumps(id_), "text": text, "metadata": fields},
                }
                start = json.dumps(operation).removesuffix("}}")
                file.write(f'{start}, "colbert": {{"blocks": {_blocks(vectors)}}}}}}}\n'.encode())
                documents += 1
    return documents


def _blocks(vectors: NDArray[np.float32]) -> str:
    """(tokens, dim) vectors as JSON; one format for all of a token's numbers takes a quarter of json.dumps's time."""
    numbers = ", ".join(["%.6g"] * vectors.shape[1])
    return "{" + ", ".join(f'"{token}": [{numbers % tuple(row)}]' for token, row in enumerate(vectors.tolist())) + "}"


def _user_part(id: int | str) -> str:
    """The last part of Vespa's document id: another one for every id."""
    mistakable = isinstance(id, str) and (id.startswith('"') or id.removeprefix("-").isdecimal() or not id)
    return quote(json.dumps(id) if mistakable else str(id), safe="")
