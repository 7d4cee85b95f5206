"""Result files: the figures of a run, and everything needed to judge and repeat them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from latelite import device
from latelite.files import atomic_write

FORMAT = "latelite-benchmark"
FORMAT_VERSION = 1
ROOT = Path(__file__).resolve().parent.parent
FOLDER = Path(__file__).resolve().parent / "results"
# Files that figures depend on; others may change between a run and its commit.
_SOURCES = ("runtime", "export", "models", "benchmarks/*.py", "pyproject.toml")


@dataclass(frozen=True)
class Result:
    """One run of one benchmark."""

    benchmark: str
    """Name of the script."""
    part: str | None
    """Part of the benchmark that was run, if not all."""
    machine: str
    """Board or CPU, as `machine_name` spells it."""
    date: str
    """End of the run, ISO 8601, UTC."""
    revision: str | None
    """Git commit."""
    dirty: bool | None
    """Whether the sources differed from that commit."""
    command: str
    """Command, as run in the root of the repository."""
    device: Mapping[str, Any]
    """`latelite.device.record`, and `latelite.device.state` as ``before`` and ``after``."""
    warnings: tuple[str, ...]
    """Disturbances of the run: `latelite.device.warnings`."""
    figures: Mapping[str, Any]
    """The measurements, described in the script's docstring."""

    @property
    def file_name(self) -> str:
        """Date, machine, revision, benchmark and part."""
        words = (self.date[:10], self.machine, self.revision or "unknown", self.benchmark, self.part)
        return "-".join(filter(None, words)) + ".json"


def result_of(
    benchmark: str,
    figures: Mapping[str, Any],
    *,
    part: str | None = None,
    command: str,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
) -> Result:
    """Combine figures with the device's state before and after the run."""
    record = device.record()
    revision, dirty = _revision()
    return Result(
        benchmark=benchmark,
        part=part,
        machine=machine_name(record),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        revision=revision,
        dirty=dirty,
        command=command,
        device={**record, "before": before, "after": after},
        warnings=tuple(device.warnings(before, after)),
        figures=figures,
    )


def save(result: Result, folder: Path = FOLDER) -> Path:
    """Write a result, replacing one with the same file name."""
    folder.mkdir(exist_ok=True)
    path = folder / result.file_name
    content = {"format": FORMAT, "format_version": FORMAT_VERSION, **asdict(result)}
    with atomic_write(path) as file:
        file.write(json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False).encode() + b"\n")
    return path


def read(path: Path) -> Result:
    """Read a result.

    Raises:
        ValueError: the file is not a result, or has another version.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
        raise ValueError(f"{path} is not a result of these benchmarks; run them again.")
    if (version := content.pop("format_version", None)) != FORMAT_VERSION:
        raise ValueError(f"{path} has format version {version!r}, not {FORMAT_VERSION}; run it again.")
    if set(content) != {field.name for field in fields(Result)}:
        raise ValueError(f"{path} lacks fields of a result; run the benchmark again.")
    return Result(**{**content, "warnings": tuple(content["warnings"])})


def read_all(folder: Path = FOLDER) -> list[Result]:
    """All results, oldest first."""
    return sorted(map(read, folder.glob("*.json")), key=lambda result: (result.date, result.benchmark))


def outdated(result: Result, folder: Path = FOLDER) -> Iterator[Path]:
    """Files of earlier runs of the same benchmark and part on the same machine."""
    same = (result.benchmark, result.part, result.machine)
    for path in sorted(folder.glob("*.json")):
        other = read(path)
        if (other.benchmark, other.part, other.machine) == same and other.date < result.date:
            yield path


def machine_name(record: Mapping[str, Any]) -> str:
    """The board or, if unknown, the CPU, as part of a file name."""
    name = record["board"] or record["cpu"] or record["architecture"] or "unknown"
    name = re.sub(r"\((R|TM|C)\)|@.*|\b(CPU|Processor)\b", " ", name, flags=re.IGNORECASE)
    return "-".join(re.findall(r"[a-z0-9]+", name.lower())) or "unknown"


def _revision() -> tuple[str | None, bool | None]:
    try:
        commit = _git("rev-parse", "--short=7", "HEAD")
        return commit, bool(_git("status", "--porcelain", "--", *_SOURCES))
    except (OSError, subprocess.CalledProcessError):  # no git, or no repository: an unpacked archive
        return None, None


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()
