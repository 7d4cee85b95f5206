"""A progress bar on standard error."""

from __future__ import annotations

import sys
import time
from types import TracebackType

_INTERVAL = 0.1  # seconds between redraws, so that a slow terminal does not slow down the work
_WIDTH = 24


class Progress:
    """``encoding documents  [######      ]  512/2048  41/s  0:37 left``, redrawn in place.

    Args:
        label: shown before the bar.
        total: number of steps.
        enabled: None: only if standard error is a terminal.
    """

    def __init__(self, label: str, *, total: int, enabled: bool | None = None) -> None:
        self._label = label
        self._total = total
        # sys.stderr is None under pythonw and in some services
        self._enabled = bool(sys.stderr and sys.stderr.isatty()) if enabled is None else enabled
        self._done = 0
        self._start = self._drawn = time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._enabled and self._total:
            self._draw(time.monotonic(), end="\n")

    def advance(self, steps: int = 1) -> None:
        """Count ``steps`` as done."""
        self._done += steps
        now = time.monotonic()
        if self._enabled and now - self._drawn >= _INTERVAL:
            self._draw(now, end="")
            self._drawn = now

    def _draw(self, now: float, *, end: str) -> None:
        share = min(self._done / self._total, 1.0)
        rate = self._done / max(now - self._start, 1e-9)
        left = int((self._total - self._done) / rate) if self._done else 0
        bar = "#" * round(share * _WIDTH)
        sys.stderr.write(
            f"\r{self._label}  [{bar:<{_WIDTH}}]  {self._done}/{self._total}  {rate:.0f}/s  "
            f"{left // 60}:{left % 60:02d} left \x1b[K{end}"
        )
        sys.stderr.flush()
