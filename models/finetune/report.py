"""Report of a run: JSON, loss plot, and the new checkpoint's card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

LOST = 0.01
"""Largest acceptable drop of nDCG@10, averaged over the general sets."""


def judge(deciding: Mapping[str, Any], general: Mapping[str, Mapping[str, Any]]) -> tuple[bool, str]:
    """Whether a run helped, and a sentence about it.

    Args:
        deciding: difference on the deciding set, by semantic search.
        general: differences on the general sets.
    """
    low = deciding["interval"][0]
    lost = -sum(each["difference"] for each in general.values()) / len(general) if general else 0.0
    before, after = deciding["before"], deciding["after"]
    said = f"nDCG@10 {before:.3f} -> {after:.3f} on {deciding['questions']} held-out questions"
    if low <= 0:
        return False, f"It does not help: {said}, within the margin of chance. Keep the base."
    if lost > LOST:
        return (
            False,
            f"It helps here ({said}) but loses {lost:.3f} on general text: raise --general, or train for less time.",
        )
    return True, f"It helps: {said}."


def table(report: Mapping[str, Any]) -> str:
    """The differences as a Markdown table."""
    rows = ["| questions | search | before | after | difference (95 %) |", "|---|---|---|---|---|"]
    for name, modes in report["quality"].items():
        for mode, languages in modes.items():
            for language, each in languages.items():
                low, high = each["interval"]
                label = name if language == "all" else f"{name}, {language or 'other'}"
                rows.append(
                    f"| {label} ({each['questions']}) | {mode} | {each['before']:.3f} | {each['after']:.3f} "
                    f"| {each['difference']:+.3f} ({low:+.3f} to {high:+.3f}) |"
                )
    return "\n".join(rows)


def card(report: Mapping[str, Any]) -> str:
    """The checkpoint's model card."""
    settings = "\n".join(f"| {name} | {value} |" for name, value in report["settings"].items())
    return f"""---
tags: [ColBERT, PyLate, late-interaction]
base_model: {report["base"]}
library_name: PyLate
---
# {report["name"]}

{report["base"]}, fine-tuned on {report["data"]["name"]} with latelite's `make finetune`. {report["verdict"]}

| data | |
|---|---|
| kind | {report["data"]["kind"]} |
| training pairs | {report["data"]["train"]:,} |
| held-out pairs, split by document | {report["data"]["held_out"]:,} |
| general pairs | {report["data"]["general"]:,} |

{report["training"]["steps"]:,} steps in {report["training"]["minutes"]} minutes.

{table(report)}

nDCG@10; intervals by a paired bootstrap over the questions.

| setting | |
|---|---|
{settings}

`bundle/` holds the exported model: `latelite reindex notes.lt --model bundle` moves a collection to it.
"""


def plot(log: list[dict[str, Any]], path: Path) -> None:
    """Plot the training loss and the loss on held-out pairs by step."""
    mpl.rcParams["svg.hashsalt"] = "latelite"
    figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
    for key, label, mark in (("loss", "training", "-"), ("eval_pairs_loss", "held-out pairs", "o-")):
        points = [(row["step"], row[key]) for row in log if key in row]
        if points:
            axes.plot(*zip(*points, strict=True), mark, label=label)
    axes.set(xlabel="step", ylabel="loss")
    axes.legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def write(report: Mapping[str, Any], log: list[dict[str, Any]], out: Path) -> None:
    """Write ``report.json``, ``README.md`` and ``training.png`` into the checkpoint's folder."""
    (out / "report.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (out / "README.md").write_text(card(report), encoding="utf-8")
    plot(log, out / "training.png")
