"""What this machine is, and what that means for latelite."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latelite import __version__
from latelite.cpus import usable_cpus

# Releases of ONNX Runtime that fail on boards that latelite is for.
_BAD_ONNXRUNTIME = {
    "1.21.0": "crashes on a Raspberry Pi 4",
    "1.24.0": "refuses models behind symbolic links",
    "1.24.1": "refuses models behind symbolic links",
}
# Flags as /proc/cpuinfo spells them: integer dot products on x86 and Arm.
_INT8_FLAGS = ("avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")
_OTHER_FLAGS = ("avx2", "avx512f", "avx512_bf16", "fp16", "asimdhp", "bf16", "sve")


@dataclass(frozen=True)
class Finding:
    """One piece of advice."""

    level: str
    """``"ok"``, ``"advice"`` or ``"problem"``; a problem makes ``latelite doctor`` exit with 1."""
    text: str


def facts() -> dict[str, Any]:
    """Machine, versions and CPU features; values that the system does not tell are None."""
    cpu = _cpuinfo()
    flags = set((cpu.get("flags") or cpu.get("Features") or "").split())
    return {
        "latelite": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "machine": platform.machine(),
        "bits": 64 if sys.maxsize > 2**32 else 32,
        "board": _first_line("/proc/device-tree/model"),
        "cpu": cpu.get("model name") or cpu.get("Model") or platform.processor() or None,
        "cores": os.cpu_count(),
        "usable_cores": usable_cpus(),
        "int8_flags": [flag for flag in _INT8_FLAGS if flag in flags],
        "other_flags": [flag for flag in _OTHER_FLAGS if flag in flags],
        "flags_known": bool(flags),
        "governor": _first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "memory_mib": _memory_mib(),
        "numpy": _version("numpy"),
        "onnxruntime": _version("onnxruntime"),
        "tokenizers": _version("tokenizers"),
        "hnswlib": _version("hnswlib"),
    }


def findings(facts: dict[str, Any]) -> list[Finding]:
    """Advice that follows from `facts`."""
    result = []
    if facts["bits"] != 64:
        result.append(Finding("problem", "Python runs in 32 bits; ONNX Runtime needs a 64-bit system."))
    for package in ("numpy", "onnxruntime", "tokenizers"):
        if facts[package] is None:
            result.append(Finding("problem", f"{package} is not installed; run `pip install latelite`."))
    if reason := _BAD_ONNXRUNTIME.get(facts["onnxruntime"]):
        result.append(Finding("problem", f"onnxruntime {facts['onnxruntime']} {reason}; install another version."))
    if facts["int8_flags"]:
        result.append(Finding("ok", f"int8 dot products ({', '.join(facts['int8_flags'])}): use precision int8."))
    elif facts["flags_known"]:
        result.append(
            Finding("advice", "no int8 dot products on this CPU: int8 may not be faster than fp32; measure both.")
        )
    if facts["governor"] not in (None, "performance"):
        result.append(Finding("advice", f"CPU governor is {facts['governor']}; latency varies with the clock."))
    if facts["hnswlib"] is None:
        result.append(
            Finding("advice", 'hnswlib is not installed; for large collections run `pip install "latelite[hnsw]"`.')
        )
    if (facts["memory_mib"] or 1024) < 512:
        result.append(Finding("advice", f"{facts['memory_mib']} MiB of memory: keep to int8 and one thread."))
    return result


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _first_line(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip("\0\n ") or None
    except OSError:
        return None


def _cpuinfo() -> dict[str, str]:
    text = _first_line("/proc/cpuinfo") or ""
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def _memory_mib() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    except (AttributeError, ValueError, OSError):
        return None
