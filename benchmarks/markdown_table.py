"""Markdown tables, and numbers in their cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

UNKNOWN = "-"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others are numbers."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float | None, unit: str = "") -> str:
    """At most three significant digits, whole numbers from 100; a dash if unknown."""
    if value is None:
        return UNKNOWN
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
    return f"{text}{unit}"


def megabytes(size: float | None) -> str:
    """Bytes as MB (10^6)."""
    return number(None if size is None else size / 1e6)


def share(value: float | None) -> str:
    """.971 instead of 0.971."""
    return UNKNOWN if value is None else f"{value:.3f}".removeprefix("0") if value < 1 else "1"
