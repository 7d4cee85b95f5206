"""Figures -> Markdown tables, with their result files and warnings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markdown_table import UNKNOWN, megabytes, number, share, table
from results import Result

_PERCENT = re.compile(r"(\d+)%")

Rows = Sequence[Sequence[str]]

ENGINES = {
    "torch": "PyTorch, fp32",
    "torch eager": "PyTorch, fp32, eager attention",
    "plain fp32": "ONNX Runtime, plain trace, fp32",
    "plain int8": "ONNX Runtime, plain trace, int8",
    "fused fp32": "latelite, fp32",
    "fused int8": "latelite, int8",
    "fused int8, threads share a text": "latelite, int8, threads share a text",
    "bundle fp32": "this bundle, fp32",
    "bundle int8": "this bundle, int8",
    "bundle int8, threads share a text": "this bundle, int8, threads share a text",
}
"""Engine of the encoder benchmark -> label in tables and plots."""
OURS, REFERENCES = "fused int8", ("torch", "plain int8")


def source(*results: Result, folder: str, commands: bool = True) -> str:
    """The result files of figures, and their warnings."""
    links = {f"[{r.file_name}]({folder}/{r.file_name})": r.command for r in results}
    files = ", ".join(f"{link} (`{command}`)" if commands else link for link, command in links.items())
    warnings = "".join(f"\n\n*{warning}*" for warning in merged_warnings(results))
    bundles = {
        r.figures["bundle"]["fingerprint"][:8]: r.figures["bundle"]["id"] for r in results if "bundle" in r.figures
    }
    models = "".join(f"Model {name}, fingerprint {fingerprint}. " for fingerprint, name in bundles.items())
    return f"{models}From {files}.{warnings}"


def merged_warnings(found: Iterable[Result]) -> list[str]:
    """The warnings of all runs in order; those that differ only in their percentage become one, with the range."""
    shares: dict[str, list[int]] = {}
    for warning in (warning for result in found for warning in result.warnings):
        shares.setdefault(_PERCENT.sub("%", warning), []).extend(map(int, _PERCENT.findall(warning)))
    return [text.replace("%", f"{_range(values)}%") if values else text for text, values in shares.items()]


def _range(values: Sequence[int]) -> str:
    least, most = min(values), max(values)
    return str(least) if least == most else f"{least} to {most}"


def machine(result: Result) -> str:
    """The device record as a paragraph."""
    d = result.device
    before, after = d["before"], d["after"]
    flags = [*(d["int8_flags"] or ()), *(d["other_flags"] or ())]
    governors = ", ".join(before["governors"] or ["unknown"])
    temperatures = [state["temperature_c"] for state in (before, after)]
    heat = "unknown" if None in temperatures else " to ".join(f"{t:.0f}" for t in temperatures) + " °C"
    throttled = "unknown" if after["throttled"] is None and after["throttle_count"] is None else "see warnings"
    if throttled != "unknown" and not any("report" in w or "clock" in w for w in result.warnings):
        throttled = "none"
    versions = {name: v for name, v in d["versions"].items() if v is not None}
    parts = [
        d["board"] or "board unknown (virtual machine or no device tree)",
        ", ".join(filter(None, (d["cpu"], d["soc"]))) or "CPU unknown",
        f"{d['usable_cores']} of {d['cores']} cores",
        "flags " + (" ".join(flags) or "unknown"),
        f"{number((d['memory_mib'] or 0) / 1024)} GiB" if d["memory_mib"] else "memory unknown",
        d["kernel"],
        f"governor {governors}",
        f"temperature {heat}",
        f"throttling {throttled}",
        ", ".join(f"{name} {value}" for name, value in versions.items()),
        f"revision {result.revision or 'unknown'}{' and changes' if result.dirty else ''}, {result.date[:10]}",
    ]
    return "; ".join(parts) + "."


# --- encoder


def encoder(figures: Mapping[str, Any], threads: int = 1) -> dict[str, str]:
    """Encoder -> table of ms per text by length, and texts per second, with ratios; the default model comes first."""
    found = {}
    for kind, measured in sorted(figures["results"].items(), key=lambda item: item[0] != "bundle"):
        engines = measured.get(f"{threads} threads")
        if engines is None:
            continue
        columns = list(next(iter(engines.values())))
        rows = [
            [ENGINES.get(name, name), *(_encoder_cell(cells.get(column)) for column in columns)]
            for name, cells in engines.items()
        ]
        for reference in REFERENCES:
            if OURS in engines and reference in engines:
                ratios = (engines[reference][c]["p50"] / engines[OURS][c]["p50"] for c in columns)
                label = f"**{ENGINES[OURS]}: times faster than {ENGINES[reference]}**"
                rows.append([label, *(f"**{number(ratio)}**" for ratio in ratios)])
        named = [f"{column} tokens" if column.isdecimal() else f"{column}, texts/s" for column in columns]
        found[kind] = table([f"{kind}, {threads} thread{'s' * (threads > 1)}", *named], rows)
    return found


def _encoder_cell(cell: Mapping[str, float] | None) -> str:
    if cell is None:
        return UNKNOWN
    return number(cell["documents_per_second"] if "documents_per_second" in cell else cell["p50"])


def choices(figures: Mapping[str, Any]) -> str:
    """Variants of the graph by length: ms of the exported one, ratio to it for the others."""
    (exported, *_), measured = list(figures["variants"]), figures["variants"]
    columns = [column for column in measured[exported] if column.isdecimal()]
    rows = []
    for name, cells in measured.items():
        shown = (
            number(cells[c]["p50"], " ms") if name == exported else number(cells[c]["ratio"], " x") for c in columns
        )
        rows.append([name, *shown, f"{cells['cosine']:.5f}"])
    return table(["", *(f"{column} tokens" for column in columns), "least cosine"], rows)


# --- search


def search(figures: Mapping[str, Any]) -> str:
    """End-to-end percentiles per corpus and index, with medians of the stages."""
    rows = []
    for name, corpus in figures["corpora"].items():
        for kind, measured in corpus["indexes"].items():
            warm = measured["warm"]
            stages = [warm["stages"][stage]["p50"] for stage in ("tokenize", "encode", "retrieve", "rerank")]
            total = [warm["total"][p] for p in ("p50", "p90", "p95", "p99")]
            label = f"{name}, {corpus['documents']:,} documents, {kind}"
            rows.append([label, *map(number, total), *map(number, stages), f"{warm['total']['calls']:,}"])
    header = ["", "p50", "p90", "p95", "p99", "tokenize", "encode", "retrieve", "rerank", "queries"]
    return table(header, rows)


def lengths(figures: Mapping[str, Any]) -> str:
    """Medians and 90th percentiles by length of the query."""
    names: dict[str, None] = {}
    rows = []
    for corpus_name, corpus in figures["corpora"].items():
        for kind, measured in corpus["indexes"].items():
            by_length = measured["warm"]["lengths"]
            names.update(dict.fromkeys(by_length))
            rows.append((f"{corpus_name}, {kind}", by_length))

    def cell(value: Mapping[str, float] | None) -> str:
        return f"{number(value['p50'])} / {number(value['p90'])} ({value['calls']})" if value else UNKNOWN

    header = ["p50 / p90 (queries)", *(f"{name} tokens" for name in names)]
    return table(header, [[label, *(cell(values.get(name)) for name in names)] for label, values in rows])


def cold(figures: Mapping[str, Any]) -> str:
    """Times from the start of a process to its first answer."""
    marks = ("interpreter_ms", "imported_ms", "opened_ms", "first_answer_ms", "first_answer_ms_max", "second_answer_ms")
    rows = [
        [f"{name}, {kind}, {state}", *(number(starts[mark]) for mark in marks), str(starts["starts"])]
        for name, corpus in figures["corpora"].items()
        for kind, measured in corpus["indexes"].items()
        for state, starts in measured["cold"].items()
        if starts
    ]
    header = ["", "Python started", "imported", "opened", "first answer", "slowest", "second query", "starts"]
    return table(header, rows)


# --- peers


def peers(figures: Mapping[str, Any]) -> str:
    """Encoders, searchers, and peers that were not run."""

    def versions(row: Mapping[str, Any]) -> str:
        return ", ".join(f"{name} {version}" for name, version in row["versions"].items())

    encoders = [
        [
            name,
            number(row["encode_query"]["p50"]),
            number(row["encode_query"]["p90"]),
            number(row["documents_per_second"]),
            UNKNOWN if row["cosine_mean"] is None else f"{row['cosine_mean']:.4f} / {row['cosine_min']:.4f}",
            versions(row),
        ]
        for name, row in figures["encoders"].items()
    ]
    searchers = [
        [
            name,
            number(row["search"]["p50"]),
            number(row["search"]["p90"]),
            number(row["build_seconds"]),
            share(row["recall@10"]),
            megabytes(row["index_bytes"]),
            versions(row),
        ]
        for name, row in figures["searchers"].items()
    ]
    header = ["encoder", "query, ms p50", "p90", "documents/s", "cosine, mean / min", "versions"]
    blocks = [table(header, encoders)] if encoders else []
    if searchers:
        header = ["searcher", "query, ms p50", "p90", "build, s", "recall@10", "disk, MB", "versions"]
        blocks.append(table(header, searchers))
    if figures["not_run"]:
        blocks.append("Not run: " + "; ".join(f"{name}: {why}" for name, why in figures["not_run"].items()) + ".")
    return "\n\n".join(blocks)


# --- footprint


def footprint(figures: Mapping[str, Any]) -> str:
    """Disk space of runtime and model, memory and disk space of collections."""
    blocks = []
    if figures["installed"]:
        sizes = sorted(figures["installed"].items(), key=lambda item: -item[1])
        rows = [[name, megabytes(size)] for name, size in sizes]
        blocks.append(
            table(["installed, no extras", "MB"], [*rows, ["**total**", megabytes(sum(dict(sizes).values()))]])
        )
    blocks.append(
        table(["bundle", "MB"], [[name, megabytes(size)] for name, size in figures["bundle"]["files"].items()])
    )
    imports = [[f"`{name}`", number(ms)] for name, ms in figures["import_ms"].items()]
    blocks.append(table(["import, after those above it", "ms"], imports))
    rows = []
    for kind, sizes in figures["indexes"].items():
        for row in sizes:
            opened, asked = row["memory_opened"] or {}, row["memory_asked"] or {}
            rows.append(
                [
                    f"{kind}, {row['documents']:,} documents",
                    number(row["index_bytes"] / row["documents"]),
                    number(row["index_bytes"] / row["tokens"]),
                    megabytes(opened.get("resident")),
                    megabytes(asked.get("resident")),
                    megabytes(asked.get("anonymous")),
                    megabytes(asked.get("mapped")),
                    megabytes(asked.get("peak")),
                ]
            )
    header = ["", "bytes/document", "bytes/token", "opened, MB", "after queries, MB", "anonymous", "mapped", "peak"]
    return "\n\n".join([*blocks, table(header, rows)])


# --- the other scripts


def flat(rows: Sequence[Mapping[str, Any]], label: str) -> str:
    """A table of flat records."""
    columns = [name for name in rows[0] if name != label]

    def cell(name: str, value: Any) -> str:
        if value is None or isinstance(value, float):
            return share(value) if "@" in name else number(value)
        return f"{value:,}" if isinstance(value, int) else str(value)

    header = [label, *(name.replace("_", " ") for name in columns)]
    return table(header, [[str(row[label]), *(cell(name, row.get(name)) for name in columns)] for row in rows])


def maxsim(figures: Mapping[str, Any]) -> str:
    """Milliseconds for scoring all documents."""
    times = figures["milliseconds"]
    base = times["latelite float32"]
    return table(["", "ms", "ratio"], [[name, number(ms), number(ms / base)] for name, ms in times.items()])
