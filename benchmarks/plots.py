"""Figures -> plots, as PNG and SVG. The same figures give the same SVG bytes with one version of matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import quality_tables
import tables

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import LogLocator

# Okabe and Ito's colours, distinguishable with any colour vision; lines also have different markers, for print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#666666")
MARKERS = "osD^vPX*"
# Row of the quality benchmark -> label of its point; "int8 Exact" also stands for the row "int8".
_QUALITY = {row: name for row, name in quality_tables.QUALITY_ROWS.items() if row != "int8"} | {"fp32": "fp32, exact"}
# Height of a line of text and width of a character, as fractions of the axes.
_LINE = 0.055
_CHARACTER = 0.0145
STYLE: Any = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.8,
    "lines.markersize": 6,
    "figure.dpi": 100,
    "savefig.dpi": 160,
    "savefig.bbox": "tight",
    "svg.hashsalt": "latelite",
    "figure.subplot.wspace": 0.9,
}


def latency(figures: Mapping[str, Any], title: str, sources: Sequence[str], target: Path) -> list[Path]:
    """Milliseconds per text against its length: a line for each engine, a panel for each encoder."""
    kinds = {kind: each["1 threads"] for kind, each in figures["results"].items() if "1 threads" in each}
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, len(kinds), figsize=(5.6 * len(kinds), 4.2), squeeze=False, sharey=True)
        for axis, (kind, engines) in zip(axes[0], kinds.items(), strict=True):
            ends = []
            for number, (name, cells) in enumerate(engines.items()):
                points = sorted((int(length), cell["p50"]) for length, cell in cells.items() if length.isdecimal())
                if not points:
                    continue
                x, y = zip(*points, strict=True)
                axis.plot(x, y, color=COLOURS[number], marker=MARKERS[number])
                ends.append((y[-1], tables.ENGINES.get(name, name), COLOURS[number], x[-1]))
            axis.set(xscale="log", yscale="log", xlabel="tokens of the text", title=kind)
            axis.set_xticks(x, [f"{length:,}" for length in x])
            axis.minorticks_off()
            axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
            _label_ends(axis, ends)
        axes[0][0].set_ylabel("ms, one thread, median")
        figure.suptitle(title, fontsize=10)
        return _save(figure, sources, target)


def _label_ends(axis: Any, ends: Sequence[tuple[float, str, str, float]]) -> None:
    """Labels (value, name, colour, x) at the right ends of lines, moved apart so that they do not overlap."""
    axis.figure.draw_without_rendering()  # sets the limits, which fractions refer to
    place = -1.0
    for value, name, colour, x in sorted(ends):
        place = max(_fraction(axis, x, value)[1], place + _LINE)
        axis.annotate(
            name, (x, value), (1.02, place), textcoords="axes fraction", color=colour, va="center", fontsize=9
        )


def _fraction(axis: Any, x: float, y: float) -> tuple[float, float]:
    """A point as fractions of the axes."""
    right, up = axis.transAxes.inverted().transform(axis.transData.transform((x, y)))
    return float(right), float(up)


def quality(name: str, one_set: Mapping[str, Any], title: str, sources: Sequence[str], target: Path) -> list[Path]:
    """nDCG@10 against query time, including encoding."""
    encode = one_set["encode_query_ms"]
    points = []
    for row, label in _QUALITY.items():
        figures = one_set["rows"].get(row)
        if figures is not None and figures["query_ms"] is not None:
            own = 0.0 if row == "bm25" else encode["fp32" if row == "fp32" else "int8"]
            points.append((own + figures["query_ms"], figures["ndcg@10"], label))
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(6.4, 4.2))
        for number, (x, y, _) in enumerate(points):
            axis.plot(x, y, MARKERS[number], color=COLOURS[number], markersize=8, zorder=3)
        axis.set(xscale="log", xlabel="ms a query, encoding included, median", ylabel="nDCG@10")
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.margins(x=0.16, y=0.12)  # room for the labels
        _label_points(axis, points)
        axis.set_title(f"{name}, {one_set['documents']:,} documents, one thread\n{title}", fontsize=10)
        return _save(figure, sources, target)


def _label_points(axis: Any, points: Sequence[tuple[float, float, str]]) -> None:
    """A label beside each point, on a free side; coinciding points share a label."""
    axis.figure.draw_without_rendering()  # sets the limits, which fractions refer to
    groups: list[tuple[float, float, list[str]]] = []
    for x, y, name in points:
        right, up = _fraction(axis, x, y)
        near = (names for a, b, names in groups if abs(a - right) < _LINE / 2 and abs(b - up) < _LINE / 2)
        if (names := next(near, None)) is not None:
            names.append(name)
        else:
            groups.append((right, up, [name]))
    taken = [(right - 0.015, up - 0.02, right + 0.015, up + 0.02) for right, up, _ in groups]
    for right, up, names in groups:
        text = ", ".join(names)
        width = _CHARACTER * len(text)
        middle = right - width / 2
        corners = (
            (right + 0.02, up - 0.02),
            (right - 0.02 - width, up - 0.02),
            (middle, up + 0.03),
            (middle, up - 0.07),
        )
        boxes = [(left, low, left + width, low + 0.04) for left, low in corners]
        box = next((box for box in boxes if not any(_overlap(box, other) for other in taken)), boxes[0])
        taken.append(box)
        axis.text(box[0], box[1] + 0.02, text, transform=axis.transAxes, va="center", fontsize=9)


def _overlap(a: Sequence[float], b: Sequence[float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def memory(figures: Mapping[str, Any], title: str, sources: Sequence[str], target: Path) -> list[Path]:
    """Resident memory after queries against the number of documents, a line for each index."""
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(6.4, 4.2))
        ends = []
        for number, (kind, rows) in enumerate(figures["indexes"].items()):
            known = [row for row in rows if row["memory_asked"]]
            x = [row["documents"] for row in known]
            for part, style in (("resident", "-"), ("anonymous", ":")):
                y = [row["memory_asked"][part] / 1e6 for row in known]
                axis.plot(x, y, style, color=COLOURS[number], marker=MARKERS[number])
                if y:
                    ends.append((y[-1], f"{kind}, {part}", COLOURS[number], x[-1]))
        axis.set(xlabel="documents", ylabel="MB of the process, model included")
        axis.set_ylim(bottom=0)
        axis.set_xlim(left=0)
        _label_ends(axis, ends)
        tokens = sum(row["tokens"] for rows in figures["indexes"].values() for row in rows)
        documents = sum(row["documents"] for rows in figures["indexes"].values() for row in rows)
        axis.set_title(f"after 64 queries, {tokens / documents:.0f} tokens a document\n{title}", fontsize=10)
        return _save(figure, sources, target)


def _save(figure: Any, sources: Sequence[str], target: Path) -> list[Path]:
    """Write PNG and SVG, with the names of the result files as metadata and without a date."""
    target.parent.mkdir(exist_ok=True)
    source = " ".join(sources)
    paths = [target.with_suffix(".png"), target.with_suffix(".svg")]
    figure.savefig(paths[0], metadata={"Software": None, "Source": source})
    figure.savefig(paths[1], metadata={"Date": None, "Creator": None, "Source": source})
    plt.close(figure)
    return paths
