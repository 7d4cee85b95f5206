"""Every error that the exporter raises on purpose: one sentence that says what, where, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from latelite.errors import LateliteError


class ExportError(LateliteError):
    """Base of all errors of the exporter."""


class CheckpointNotFoundError(ExportError, FileNotFoundError):
    """The checkpoint, or one of its files, is neither in a local folder nor on the hub."""


class HubUnreachableError(ExportError, ConnectionError):
    """The model hub cannot be reached, or refuses access."""


class UnsupportedCheckpointError(ExportError, ValueError):
    """The checkpoint is complete but holds something that the exporter cannot reproduce faithfully."""


class IncompleteCheckpointError(ExportError, ValueError):
    """Weights are missing: loading would fill them with random numbers."""


class RemoteCodeError(ExportError, PermissionError):
    """The checkpoint brings its own Python code, and the caller did not allow that to run."""


class SettingError(ExportError, ValueError):
    """A setting of the checkpoint, or one given to override it, is not usable with this model."""


class OutputExistsError(ExportError, FileExistsError):
    """There is something at the output path already."""


class GateError(ExportError, ValueError):
    """The exported graphs do not reproduce the checkpoint closely enough; nothing was written."""

    def __init__(self, message: str, report: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.report: Mapping[str, Any] = report or {}
        """The measurements, as they would have been written to the manifest."""
