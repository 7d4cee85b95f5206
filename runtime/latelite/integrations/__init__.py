"""latelite inside other software: one module per project, imported only when it is used.

Each module raises `latelite.errors.MissingExtraError` with the command that installs what it needs.
"""

from __future__ import annotations

from latelite.errors import MissingExtraError


def missing(package: str, extra: str, error: ImportError) -> MissingExtraError:
    """The error of a module whose ``package`` is not installed; raise it from ``error``."""
    return MissingExtraError(f'{package} is not installed ({error}): pip install "latelite[{extra}]"')
