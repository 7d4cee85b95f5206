"""latelite inside other software: one module per project, imported only when it is used.

Each module raises `latelite.errors.MissingExtraError` with the command that installs what it needs.
"""

from __future__ import annotations

import os
from pathlib import Path

from latelite.errors import MissingExtraError


def missing(package: str, extra: str, error: ImportError) -> MissingExtraError:
    """The error of a module whose ``package`` cannot be imported; raise it from ``error``."""
    absent = isinstance(error, ModuleNotFoundError)
    problem = "is not installed" if absent else "is not of a version that latelite works with"
    return MissingExtraError(f'{package} {problem} ({error}): pip install {"" if absent else "-U "}"latelite[{extra}]"')


def for_workers(bundle: str | Path) -> str:
    """A bundle's folder as processes with another working directory find it; an installed model's name as it is."""
    return os.fspath(Path(bundle).absolute()) if Path(bundle).is_dir() else os.fspath(bundle)
