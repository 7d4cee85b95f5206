"""Which shard a document belongs to, and the file that describes a folder of shards.

```
shards/
  shards.json        how many shards, of which model, and what was counted when the last run was complete
  shard-00000.lt     a collection, see `latelite.Collection`
  shard-00001.lt
```
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from latelite.errors import IndexCorruptError, IndexMismatchError, IndexNotFoundError
from latelite.files import atomic_write

MANIFEST = "shards.json"
_FORMAT = "latelite-shards"


@dataclass(frozen=True)
class ShardsManifest:
    """The content of ``shards.json``. The first run decides all of it but ``documents``."""

    shards: int
    model: str
    """Id of the checkpoint, for messages."""
    fingerprint: str
    """Of the model."""
    index: str
    """Kind of the collections' indexes."""
    pool_factor: int
    documents: list[int] | None = None
    """Per shard, when the last run was complete; None while the first one was not."""

    def write(self, folder: Path) -> None:
        """Write it into the folder of the shards."""
        with atomic_write(folder / MANIFEST) as file:
            file.write(json.dumps({"format": _FORMAT, "version": 1, **asdict(self)}, indent=2).encode() + b"\n")

    @classmethod
    def read(cls, folder: Path) -> ShardsManifest:
        """Read it from the folder of the shards.

        Raises:
            IndexNotFoundError: there is none.
            IndexCorruptError: it is damaged, or of another format.
        """
        path = folder / MANIFEST
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["format"] != _FORMAT or content["version"] != 1:
                raise ValueError(f"format {content['format']!r}, version {content['version']!r}")
            return cls(**{field.name: content[field.name] for field in fields(cls)})
        except FileNotFoundError as error:
            raise IndexNotFoundError(f"{folder} holds no shards: there is no {MANIFEST} in it.") from error
        except (KeyError, TypeError, ValueError) as error:
            raise IndexCorruptError(f"{path} is damaged, or not of this version: {error}.") from error

    def check_same(self, folder: Path, asked: ShardsManifest) -> None:
        """Raise IndexMismatchError when a later run asks for something else than the first one."""
        for name in ("shards", "fingerprint", "index", "pool_factor"):
            if getattr(self, name) != getattr(asked, name):
                shown = "model" if name == "fingerprint" else name
                raise IndexMismatchError(
                    f"{folder} was begun with {shown}={getattr(self, shown)!r}, not {getattr(asked, shown)!r}; go on "
                    "with that, or write into another folder."
                )

    def folders(self, folder: Path) -> list[Path]:
        """The collections, in the order of the shards."""
        return [folder / f"shard-{number:05}.lt" for number in range(self.shards)]


def shard_of(id: int | str, shards: int) -> int:
    """The shard of a document: the first eight bytes of the SHA-256 of its id as JSON, modulo ``shards``."""
    return int.from_bytes(hashlib.sha256(json.dumps(id).encode()).digest()[:8], "big") % shards


def content_hash(text: str, metadata: Mapping[str, Any]) -> bytes:
    """SHA-256 of what a document says; the order of the metadata's keys is left out."""
    return hashlib.sha256(json.dumps([text, metadata], sort_keys=True).encode()).digest()
