"""Which bundle is meant when none is named: an installed model, or the one in latelite's own repository.

A model is installed as a wheel that ``latelite-export --wheel`` writes: a package with the bundle's files, announced by
an entry point of the group `latelite.manifest.MODEL_GROUP`. Each wheel holds one graph and is a whole bundle by itself,
so a model may be installed once (int8) or twice (int8 and fp32, for boards like the Raspberry Pi 4).
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
    """Installed models: name -> their bundle folders, sorted. The packages are located, not imported."""
    from importlib.metadata import entry_points  # 20 ms that opening a collection need not wait for

    found: dict[str, list[Path]] = {}
    for point in sorted(entry_points(group=MODEL_GROUP), key=lambda point: (point.name, point.value)):
        folder = _folder(point)
        if folder not in found.setdefault(point.name, []):  # a wheel may be seen twice, through two path entries
            found[point.name].append(folder)
    return found


def locate(name: str | None = None, *, precision: Precision | None = None) -> Path:
    """The folder of an installed model's bundle.

    Args:
        name: of the model; None when only one is installed, or for the bundle of the repository that latelite runs
            from when none is.
        precision: graph that the bundle must have; None takes what suits this CPU, see `latelite.precision.choose`.

    Raises:
        BundleNotFoundError: no model is installed, or none of this name.
        BundleError: several are installed and none is named, or the model is installed without this graph.
    """
    models = installed()
    if name is None:
        if not models and (own := _own()):
            return own
        if not models:
            raise BundleNotFoundError(f"no model is installed; {_HOW}.")
        if len(models) > 1:
            raise BundleError(f"several models are installed, name one of them: {', '.join(models)}.")
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
            f"that holds its {wanted} graph, or name one of these as precision."
        )
    return folders[wanted]


def resolve(model: str | Path | None, *, precision: Precision | None = None) -> Path:
    """A bundle's folder: the one that ``model`` names, or that of an installed model, see `locate`.

    A folder wins over an installed model of the same name; ``~`` is the home folder. A path that does not exist is
    returned, too, and whoever opens it says what is missing.
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


def _own() -> Path | None:
    """The bundle in the repository, when this very file is in a checkout of it rather than in site-packages."""
    folder = _REPOSITORY / "models" / "default-onnx"
    return folder if (_REPOSITORY / "pyproject.toml").is_file() and (folder / MANIFEST_NAME).is_file() else None
