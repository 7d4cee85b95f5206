"""The exporter's errors. Each message is one sentence: what, where, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from latelite.errors import LateliteError


class ExportError(LateliteError):
    """Base of all errors of the exporter."""


class CheckpointNotFoundError(ExportError, FileNotFoundError):
    """The checkpoint or one of its files was not found, locally or on the hub."""


class HubUnreachableError(ExportError, ConnectionError):
    """The model hub cannot be reached, or refuses access."""


class UnsupportedCheckpointError(ExportError, ValueError):
    """The checkpoint is complete, but the exporter cannot reproduce it faithfully."""


class IncompleteCheckpointError(ExportError, ValueError):
    """Weights are missing and would be randomly initialised, or a file is damaged."""


class RemoteCodeError(ExportError, PermissionError):
    """The checkpoint needs its own Python code, and the caller did not allow it to run."""


class SettingError(ExportError, ValueError):
    """A setting, the checkpoint's or the caller's, is not valid for this model."""


class OutputExistsError(ExportError, FileExistsError):
    """The output path exists."""


class GateError(ExportError, ValueError):
    """The exported graphs do not reproduce the checkpoint closely enough; no bundle was written."""

    def __init__(self, message: str, report: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.report: Mapping[str, Any] = report or {}
        """The measurements, in the form of the manifest's report."""
