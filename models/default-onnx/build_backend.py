"""PEP 517 backend of this folder's wheels; uses the repository's own code, which needs only the standard library."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path[:0] = [str(FOLDER.parents[1] / part) for part in ("runtime", "export")]


def build_wheel(
    wheel_directory: str, config_settings: Mapping[str, str] | None = None, metadata_directory: str | None = None
) -> str:
    """Build the wheel of the graph named by the setting ``precision``; default int8."""
    from latelite_export import wheel

    precision = (config_settings or {}).get("precision", "int8")
    if precision not in ("int8", "fp32"):
        raise SystemExit(f"precision must be int8 or fp32, not {precision!r}")
    return wheel.write(FOLDER, wheel_directory, precision).name  # type: ignore[arg-type]
