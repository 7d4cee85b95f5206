"""Plot a checkpoint's training log: loss terms, and held-out quality of student and teacher.

python models/recipe/plot.py models/latelite-colbert-16m
"""

from __future__ import annotations

import argparse
import json
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

TERMS = {"ranking": ("ranking (KL)", "-"), "pairs": ("pairs (entropy)", "--"), "tokens": ("tokens (1 - cos)", ":")}
MEANS = {"own": ("same language", "-"), "foreign": ("other language", "--")}
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")
GREY = "#777777"


def plot(log: dict[str, Any], path: Path) -> None:
    """Write the plot to ``path``, in the format of its suffix; ``log`` is ``training.json``: phase -> log."""
    mpl.rcParams["svg.hashsalt"] = "latelite"
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    before = 0
    for color, (name, phase) in zip(cycle(COLORS), log.items(), strict=False):
        scale = phase["tokens"] / max(row["step"] for row in phase["held_out"])
        for term, (_, style) in TERMS.items():
            points = [(before + row["step"] * scale, row[term]) for row in phase["steps"] if term in row]
            left.plot(*zip(*points, strict=True), style, color=color)
        for mean, (_, style) in MEANS.items():
            points = [(before + row["step"] * scale, row[mean]) for row in phase["held_out"]]
            right.plot(*zip(*points, strict=True), style, marker=".", color=color)
        left.plot([], [], "s", color=color, label=name)
        before += phase["tokens"]
    teacher = next(iter(log.values()))["teacher"]
    for term, style in TERMS.values():
        left.plot([], [], style, color=GREY, label=term)
    for mean, (label, style) in MEANS.items():
        right.axhline(teacher[mean], linestyle=style, color=GREY, linewidth=1, label=f"{label} (teacher)")
    for axes, title in ((left, "loss"), (right, "held-out nDCG@10")):
        axes.set(xlabel="student tokens seen", ylabel=title)
        axes.legend(fontsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    left.set_yscale("log")
    figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)


def main() -> int:
    parser = argparse.ArgumentParser(description="Plot a checkpoint's training log.")
    parser.add_argument("checkpoint", type=Path, help="folder with training.json")
    folder = parser.parse_args().checkpoint
    log = json.loads((folder / "training.json").read_text())
    for suffix in (".png", ".svg"):
        plot(log, folder / f"training{suffix}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
