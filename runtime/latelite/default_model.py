"""The default bundle: an installed model, or the one in latelite's repository.

Models are installed as wheels from ``latelite-export --wheel``: packages of a bundle's files, with an entry point in
the group `latelite.manifest.MODEL_GROUP`. A wheel is a complete bundle with one graph, so a model may be installed once
(int8) or twice (int8 and fp32, for boards like the Raspberry Pi 4).
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from latelite.errors import BundleError, BundleNotFoundError
from latelite.manifest import MANIFEST_NAME, MODEL_GROUP, Graph, Manifest, Precision
from latelite.precision import choose_here

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

_HOW = "name a bundle folder (model=..., on the command line --model), or install a model: `pip install MODEL.whl`"
_REPOSITORY = Path(__file__).resolve().parents[2]


def installed() -> dict[str, list[Path]]:
    """Installed models: name -> sorted bundle folders. Packages are located without importing them."""
    from importlib.metadata import entry_points  # takes 20 ms, which opening a collection avoids

    found: dict[str, list[Path]] = {}
    for point in sorted(entry_points(group=MODEL_GROUP), key=lambda point: (point.name, point.value)):
        folder = _folder(point)
        if folder not in found.setdefault(point.name, []):  # two entries of sys.path may find the same wheel
            found[point.name].append(folder)
    return found


def locate(name: str | None = None, *, precision: Precision | None = None) -> Path:
    """The folder of an installed model's bundle.

    Args:
        name: model; None: the only installed one or, if none is installed, the bundle in the repository that latelite
            runs from.
        precision: graph that the bundle must have; None: the best for this CPU, see `latelite.precision.choose`.

    Raises:
        BundleNotFoundError: no model is installed, or none with this name.
        BundleError: several are installed and ``name`` is None, or the model is installed without this graph.
    """
    models = installed()
    if name is None:
        if not models and (own := _repository_bundle()):
            return own
        if not models:
            raise BundleNotFoundError(f"no model is installed; {_HOW}.")
        if len(models) > 1:
            raise BundleError(f"several models are installed; choose one: {', '.join(models)}.")
        (name,) = models
    if name not in models:
        known = f"installed models: {', '.join(models)}" if models else "no model is installed"
        raise BundleNotFoundError(f"{name} is neither a folder nor an installed model ({known}); {_HOW}.")
    graphs: dict[str, Graph] = {}
    folders: dict[str, Path] = {}
    for folder in models[name]:
        for kind, graph in Manifest.read(folder).graphs.items():
            graphs.setdefault(kind, graph)
            folders.setdefault(kind, folder)
    wanted = precision or choose_here(graphs).precision
    if wanted not in folders:
        raise BundleError(
            f"the model {name} is installed in {', '.join(sorted(folders))} only, not in {wanted}; install the wheel "
            f"with its {wanted} graph, or choose another precision."
        )
    return folders[wanted]


def resolve(model: str | Path | None, *, precision: Precision | None = None) -> Path:
    """The folder of a bundle: ``model`` itself, or that of an installed model, see `locate`.

    A folder takes precedence over an installed model with the same name; ``~`` is the home folder. A missing path is
    returned, too, and opening it raises an error.
    """
    if model is None:
        return locate(precision=precision)
    folder = Path(model).expanduser()
    if isinstance(model, str) and not folder.exists() and model in installed():
        return locate(model, precision=precision)
    return folder


def _folder(point: EntryPoint) -> Path:
    try:
        spec = find_spec(point.module)
    except ImportError:
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise BundleNotFoundError(
            f"the installed model {point.name} has no package {point.module}; install its wheel again."
        )
    return Path(next(iter(spec.submodule_search_locations)))


def _repository_bundle() -> Path | None:
    """The bundle in the repository, if this file is in a checkout rather than in site-packages."""
    folder = _REPOSITORY / "models" / "default-onnx"
    return folder if (_REPOSITORY / "pyproject.toml").is_file() and (folder / MANIFEST_NAME).is_file() else None
