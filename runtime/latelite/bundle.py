"""A bundle on disk: the manifest and its files, verified before use."""

from __future__ import annotations

import shutil
from pathlib import Path

from latelite.errors import BundleCorruptError, BundleError, BundleNotFoundError
from latelite.files import sha256
from latelite.manifest import MANIFEST_NAME, TOKENIZER_NAME, Graph, Manifest, Precision

LICENCE_NAME = "LICENSE"


class Bundle:
    """A folder written by ``latelite-export``.

    Opening reads only the manifest. `graph_path` and `tokenizer_path` verify size and SHA-256 of the file they return,
    so that a truncated copy is refused before ONNX Runtime reads it.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.manifest = Manifest.read(self.folder)

    def graph(self, precision: Precision) -> Graph:
        """The graph of a precision. Raises BundleError if the bundle does not have it."""
        graphs = self.manifest.graphs
        if precision not in graphs:
            raise BundleError(
                f"{self.folder} has no {precision} graph, only {', '.join(sorted(graphs))}; "
                "name one of these as precision, or export the checkpoint again."
            )
        return graphs[precision]

    def graph_path(self, precision: Precision) -> Path:
        """Path of the verified ONNX file of a precision."""
        return self.checked(self.graph(precision).file)

    @property
    def tokenizer_path(self) -> Path:
        """Path of the verified ``tokenizer.json``."""
        return self.checked(TOKENIZER_NAME)

    @property
    def licence(self) -> Path | None:
        """Path of the model's licence, which goes with every copy; None where the bundle has none."""
        path = self.folder / LICENCE_NAME
        return path if path.is_file() else None

    def verify(self) -> list[Path]:
        """Verify every file named by the manifest; returns their paths.

        Raises:
            BundleNotFoundError: a file is missing.
            BundleCorruptError: a file has the wrong size or checksum.
        """
        return [self.checked(name) for name in self.manifest.files]

    def copy(self, folder: Path) -> None:
        """Copy the verified files and the licence into a folder, the manifest last; replaces existing files."""
        folder.mkdir(parents=True, exist_ok=True)
        licences = [] if self.licence is None else [self.licence]
        for source in [*self.verify(), *licences, self.folder / MANIFEST_NAME]:
            target = folder / source.name
            if not (target.exists() and source.samefile(target)):
                shutil.copyfile(source, target)

    def checked(self, name: str) -> Path:
        """Path of a file named by the manifest, after verifying size and SHA-256; raises as `verify`."""
        entry = self.manifest.files.get(name)
        if entry is None:
            raise BundleCorruptError(f"the manifest of {self.folder} does not list {name}; export the bundle again.")
        path = self.folder / name
        if not path.is_file():
            raise BundleNotFoundError(f"{path} is missing from the bundle; copy the whole folder.")
        size = path.stat().st_size
        if size != entry.bytes:
            raise BundleCorruptError(f"{path} has {size:,} bytes instead of {entry.bytes:,}; copy the bundle again.")
        if sha256(path) != entry.sha256:
            raise BundleCorruptError(f"{path} does not match its checksum; copy the bundle again.")
        return path
