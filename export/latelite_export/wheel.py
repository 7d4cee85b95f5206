"""Packages a bundle as wheels, so that a model is installed like any package and found by `latelite.default_model`.

There is one wheel per graph, since the fp32 graph is larger than everything else and few computers run it. Each wheel
has a whole bundle (a manifest without the other graph, the tokenizer, the verification vectors) and the model's
licence. Only the standard library is needed. The same bundle always gives the same bytes.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

from latelite.bundle import Bundle
from latelite.manifest import MANIFEST_NAME, MODEL_GROUP, PRECISIONS, Manifest, Precision
from latelite_export import bundle as bundle_folder

_PREFIX = "latelite"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip file can store


def write(bundle: str | Path, folder: str | Path, precision: Precision) -> Path:
    """Write the wheel of one graph of a bundle.

    Args:
        bundle: folder of the bundle.
        folder: where to write; created if missing.
        precision: which graph.

    Returns:
        Path of the wheel.

    Raises:
        BundleError: the bundle is damaged or lacks the graph.
    """
    opened = Bundle(bundle)
    opened.graph(precision)
    opened.verify()
    manifest = only(opened.manifest, precision)
    name = distribution(manifest, precision)
    package = name.replace("-", "_")
    version = f"1.0+{manifest.fingerprint[:8]}"
    information = f"{package}-{version}.dist-info"
    licences = bundle_folder.licences(opened.folder)
    members: dict[str, bytes | Path] = {
        f"{package}/__init__.py": f'"""The model {model_name(manifest)}: data for latelite."""\n'.encode(),
        f"{package}/{MANIFEST_NAME}": manifest.to_json().encode(),
        **{f"{package}/{file}": opened.folder / file for file in manifest.files},
        f"{information}/METADATA": _metadata(name, version, manifest, precision, [path.name for path in licences]),
        **{f"{information}/licenses/{path.name}": path for path in licences},
        f"{information}/WHEEL": b"Wheel-Version: 1.0\nGenerator: latelite\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{information}/entry_points.txt": f"[{MODEL_GROUP}]\n{model_name(manifest)} = {package}\n".encode(),
    }
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    path = target / f"{package}-{version}-py3-none-any.whl"
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        _zip(temporary, members, f"{information}/RECORD")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def write_all(bundle: str | Path, folder: str | Path) -> list[Path]:
    """Call `write` for every graph of the bundle."""
    graphs = Bundle(bundle).manifest.graphs
    return [write(bundle, folder, precision) for precision in PRECISIONS if precision in graphs]


def only(manifest: Manifest, precision: Precision) -> Manifest:
    """The manifest without the other graphs; the fingerprint stays the same."""
    others = {graph.file for name, graph in manifest.graphs.items() if name != precision}
    return dataclasses.replace(
        manifest,
        graphs={precision: manifest.graphs[precision]},
        files={name: entry for name, entry in manifest.files.items() if name not in others},
    )


def model_name(manifest: Manifest) -> str:
    """The model's name for users: the last part of the checkpoint's id, spelled like a package name."""
    return re.sub(r"[^a-z0-9]+", "-", str(manifest.checkpoint["id"]).rsplit("/", 1)[-1].lower()).strip("-") or "model"


def distribution(manifest: Manifest, precision: Precision) -> str:
    """Name of the wheel's distribution; the prefix latelite avoids shadowing an unrelated package."""
    name = model_name(manifest)
    if name != _PREFIX and not name.startswith(f"{_PREFIX}-"):
        name = f"{_PREFIX}-model-{name}"
    return name if precision == "int8" else f"{name}-{precision}"


def _metadata(name: str, version: str, manifest: Manifest, precision: Precision, licences: Sequence[str]) -> bytes:
    lines = [
        "Metadata-Version: 2.4",
        f"Name: {name}",
        f"Version: {version}",
        f"Summary: The late-interaction model {manifest.checkpoint['id']} in {precision}, for latelite",
        *(f"License-File: {each}" for each in licences),
    ]
    return "\n".join([*lines, ""]).encode()


def _zip(path: Path, members: dict[str, bytes | Path], record_name: str) -> None:
    record = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:

        def put(name: str, content: bytes) -> None:
            member = zipfile.ZipInfo(name, _EPOCH)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.external_attr = 0o644 << 16
            archive.writestr(member, content)

        for name, source in members.items():
            content = source.read_bytes() if isinstance(source, Path) else source
            put(name, content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            record.append(f"{name},sha256={digest},{len(content)}")
        put(record_name, "\n".join([*record, f"{record_name},,", ""]).encode())
