"""Generates the tables of the READMEs and the plots from the result files.

    python benchmarks/report.py            # update README.md, benchmarks/README.md, the model card and the plots
    python benchmarks/report.py --check    # exit status 1 if a table or plot does not match the results

The part between ``<!-- begin results -->`` and ``<!-- end results -->`` is generated, the rest is written by hand. For
each machine, the newest run of each benchmark is used; for quality, the newest run of each set with the model of the
newest run.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import overview
import quality_tables
import results
import tables
from results import Result

ROOT = results.ROOT
README = Path("README.md")
REPORT = Path("benchmarks/README.md")
CARD = Path("models/latelite-colbert-16m/README.md")
"""The default model's card."""
PLOTS = Path("benchmarks/plots")
_PART = re.compile(r"(?<=<!-- begin results -->\n).*?(?=<!-- end results -->)", re.DOTALL)


@dataclass(frozen=True)
class Machine:
    """The results of one machine that are used."""

    name: str
    newest: dict[str, Result]
    """Benchmark -> newest result."""
    quality: list[Result]
    """Quality runs with the model of the newest one, oldest first."""

    @property
    def last(self) -> Result:
        """The newest result of all."""
        return max(self.newest.values(), key=lambda result: result.date)


_SHOWN = ("encode", "footprint", "graph_choices", "index", "maxsim", "peers", "quality", "search")
"""Benchmarks with a table; a machine without any of these is not shown."""


def machines(folder: Path) -> list[Machine]:
    """The machines, sorted by date of their newest result, newest first."""
    found: dict[str, Machine] = {}
    for result in results.read_all(folder):
        if result.benchmark not in _SHOWN:
            continue
        machine = found.setdefault(result.machine, Machine(result.machine, {}, []))
        machine.newest[result.benchmark] = result
        if result.benchmark == "quality":
            machine.quality[:] = [old for old in machine.quality if _model(old) == _model(result)]
            machine.quality.append(result)
    return sorted(found.values(), key=lambda machine: machine.last.date, reverse=True)


def _model(result: Result) -> str:
    fingerprint: str = result.figures["bundle"]["fingerprint"]
    return fingerprint


def summary(found: Sequence[Machine], folder: str) -> str:
    """The top README's part: a table for the machine measured last, and a description of the machine."""
    if not found:
        return "No results."
    machine = found[0]
    device = machine.last.device
    runs = [
        *machine.quality,
        *(machine.newest[name] for name in ("peers", "search", "footprint") if name in machine.newest),
    ]
    name = f"{device['cpu'] or 'unknown CPU'}, {device['usable_cores']} of {device['cores']} cores, one thread"
    board = "" if any(each.last.device["board"] for each in found) else " No board was measured yet."
    links = ", ".join(
        f"[{' '.join(filter(None, (result.benchmark, result.part)))}]({folder}/{result.file_name})" for result in runs
    )
    blocks = [overview.table(machine.newest, machine.quality)]
    if search := machine.newest.get("search"):
        blocks.append(overview.question(search.figures))
    return "\n\n".join([*blocks, f"{name}.{board} From {links}."])


def card(found: Sequence[Machine], folder: str) -> str:
    """The model card's part: quality on the machine that measured it last."""
    measured = [machine for machine in found if machine.quality]
    if not measured:
        return "No results."
    runs = measured[0].quality
    return "\n\n".join([quality_tables.card(quality_tables.merged_sets(runs)), tables.source(*runs, folder=folder)])


def section(machine: Machine, folder: str, plots: str) -> str:
    """The section of a machine in the report."""
    newest = machine.newest

    def plot(name: str, text: str) -> str:
        return f"![{text}]({plots}/{machine.name}-{name}.png)\n\n[SVG]({plots}/{machine.name}-{name}.svg)"

    blocks = [f"## {machine.name}", tables.machine(machine.last)]
    if result := newest.get("encode"):
        blocks.append("### Encoding by text length (median ms; mixed corpus: texts/s)")
        for threads in (1, 2):
            blocks += tables.encoder(result.figures, threads).values()
        blocks += [plot("latency", "latency against length"), tables.source(result, folder=folder)]
    if result := newest.get("graph_choices"):
        blocks += ["### Variants of the int8 graph, one thread", tables.choices(result.figures)]
        blocks.append(tables.source(result, folder=folder))
    if result := newest.get("search"):
        blocks += ["### Query latency (ms; stages are medians)", tables.search(result.figures)]
        blocks += ["By query length:", tables.lengths(result.figures)]
        blocks += ["### Cold start (median ms since the start of the process)", tables.cold(result.figures)]
        blocks.append(tables.source(result, folder=folder))
    if machine.quality:
        sets = quality_tables.merged_sets(machine.quality)
        blocks.append("### Quality")
        blocks += [quality_tables.quality(sets, metric) for metric in quality_tables.METRICS]
        if times := quality_tables.quality_times(sets):
            blocks += [times, plot("quality", "quality against query time")]
        blocks.append(tables.source(*machine.quality, folder=folder))
    if result := newest.get("peers"):
        c = result.figures["corpus"]
        blocks.append(f"### Peers ({c['documents']:,} documents, {c['tokens']:,} tokens, {c['queries']} queries)")
        blocks += [tables.peers(result.figures), tables.source(result, folder=folder)]
    if result := newest.get("footprint"):
        blocks += ["### Footprint", tables.footprint(result.figures), plot("memory", "memory against corpus size")]
        blocks.append(tables.source(result, folder=folder))
    if result := newest.get("index"):
        blocks += ["### Indexes", tables.flat(result.figures["rows"], "kind"), tables.source(result, folder=folder)]
    if result := newest.get("maxsim"):
        blocks += ["### MaxSim of one query with all documents", tables.maxsim(result.figures)]
        blocks.append(tables.source(result, folder=folder))
    return "\n\n".join(blocks)


def pages(root: Path, found: Sequence[Machine]) -> dict[Path, str]:
    """File -> its content according to the results."""
    parts: dict[Path, Callable[[], str]] = {
        README: lambda: summary(found, "benchmarks/results"),
        CARD: lambda: card(found, "../../benchmarks/results"),
        REPORT: lambda: "\n\n".join(section(each, "results", "plots") for each in found) or "No results.",
    }
    content = {}
    for path, make in parts.items():
        text = (root / path).read_text(encoding="utf-8")
        replaced, count = _PART.subn(lambda _, make=make: f"\n{make()}\n\n", text)  # type: ignore[misc]
        if count != 1:
            raise ValueError(f"{path} must have one generated part, not {count}.")
        content[path] = replaced
    return content


@dataclass(frozen=True)
class Plot:
    """A plot to draw."""

    target: Path
    sources: tuple[str, ...]
    """Names of the result files."""
    draw: Callable[[Path], object]


def wanted_plots(found: Sequence[Machine]) -> Iterator[Plot]:
    """The plots for which there are results."""
    for machine in found:
        newest = machine.newest
        base = PLOTS / machine.name
        title = f"{machine.name}, {machine.last.date[:10]}"
        if encode := newest.get("encode"):
            names: tuple[str, ...] = (encode.file_name,)
            yield Plot(
                base.with_name(f"{machine.name}-latency"),
                names,
                partial(_draw, "latency", encode.figures, title, names),
            )
        timed = {
            name: each
            for name, each in quality_tables.merged_sets(machine.quality).items()
            if "encode_query_ms" in each and " -> " not in name
        }
        if timed:
            name = max(timed, key=lambda name: timed[name]["documents"])
            names = tuple(result.file_name for result in machine.quality)
            yield Plot(
                base.with_name(f"{machine.name}-quality"),
                names,
                partial(_draw, "quality", name, timed[name], title, names),
            )
        if footprint := newest.get("footprint"):
            names = (footprint.file_name,)
            yield Plot(
                base.with_name(f"{machine.name}-memory"),
                names,
                partial(_draw, "memory", footprint.figures, title, names),
            )


def _draw(plot: str, *arguments: Any) -> None:
    """Call a function of the module `plots`."""
    getattr(_plots(), plot)(*arguments)


def _plots() -> Any:
    """The module `plots`, imported only for drawing, so that tables need no matplotlib."""
    try:
        import plots
    except ModuleNotFoundError as error:
        raise SystemExit(
            f"{error}: drawing plots needs pip install 'latelite[bench]'; the tables are written."
        ) from error

    return plots


def differences(root: Path, folder: Path) -> list[str]:
    """Files that do not match the results."""
    found = machines(folder)
    wrong = [
        f"{path}: does not match the results; run python benchmarks/report.py"
        for path, text in pages(root, found).items()
        if (root / path).read_text(encoding="utf-8") != text
    ]
    return wrong + [
        f"{plot.target}: missing, or drawn from other results"
        for plot in wanted_plots(found)
        if _is_outdated(plot, root)
    ]


def _is_outdated(plot: Plot, root: Path) -> bool:
    """Whether a plot is missing, or drawn from other result files."""
    svg = root / plot.target.with_suffix(".svg")
    if not svg.exists() or not svg.with_suffix(".png").exists():
        return True
    return " ".join(plot.sources) not in svg.read_text(encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Update or check; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--root", type=Path, default=ROOT, help="repository")
    options = parser.parse_args(arguments)
    folder = options.root / "benchmarks" / "results"
    if options.check:
        wrong = differences(options.root, folder)
        print("\n".join(wrong) or "tables and plots match the results")
        return 1 if wrong else 0
    found = machines(folder)
    for path, text in pages(options.root, found).items():
        (options.root / path).write_text(text, encoding="utf-8")
    for plot in wanted_plots(found):
        if _is_outdated(plot, options.root):
            plot.draw(options.root / plot.target)
    if found and "encode" in found[0].newest:
        print("\nours against PyTorch\n")
        print("\n\n".join(tables.encoder(found[0].newest["encode"].figures).values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
