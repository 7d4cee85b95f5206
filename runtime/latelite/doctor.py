"""What this machine is, and what that means for latelite."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from latelite import device
from latelite.manifest import Graph
from latelite.precision import choose

# Releases of ONNX Runtime that fail where latelite is used: what they do, and on which architectures. No release from
# 1.20.1 to 1.32.0 is known to be slow: taken in turn, 1.20.1, 1.31.0 and 1.32.0 differ by less than 10 %.
_ARM = ("aarch64", "arm64")
_BAD_ONNXRUNTIME: dict[str, tuple[str, tuple[str, ...]]] = {
    "1.21.0": ("crashes on a Raspberry Pi 4", _ARM),
    "1.24.0": ("refuses models behind symbolic links", ()),
    "1.24.1": ("refuses models behind symbolic links", ()),
    # https://github.com/microsoft/onnxruntime/issues/31569
    "1.27.0": ("gives other vectors for the same text from one call to the next on Arm CPUs with SME", _ARM),
}


@dataclass(frozen=True)
class Finding:
    """One piece of advice."""

    level: str
    """``"ok"``, ``"advice"`` or ``"problem"``; a problem makes ``latelite doctor`` exit with 1."""
    text: str


def facts() -> dict[str, Any]:
    """`device.record` and `device.state` of this machine, flat; values that the system does not tell are None."""
    machine = device.record()
    versions = machine.pop("versions")
    state = device.state()
    del state["clock"], state["cpu_seconds"]  # mean something only as differences
    return {
        **{name: versions.pop(name) for name in ("latelite", "python")},
        **machine,
        **versions,
        "state": state,
    }


def findings(facts: dict[str, Any]) -> list[Finding]:
    """Advice that follows from `facts`."""
    result = []
    if facts["bits"] != 64:
        result.append(Finding("problem", "Python runs in 32 bits; ONNX Runtime needs a 64-bit system."))
    for package in ("numpy", "onnxruntime", "tokenizers"):
        if facts[package] is None:
            result.append(Finding("problem", f"{package} is not installed; run `pip install latelite`."))
    reason, architectures = _BAD_ONNXRUNTIME.get(facts["onnxruntime"], ("", ()))
    if reason and (not architectures or facts["architecture"] in (None, *architectures)):
        result.append(Finding("problem", f"onnxruntime {facts['onnxruntime']} {reason}; install another version."))
    result += _precision(facts["int8_flags"], facts["architecture"])
    result += [Finding("advice", warning) for warning in device.warnings(facts["state"])]
    if facts["hnswlib"] is None:
        result.append(
            Finding("advice", 'hnswlib is not installed; for large collections run `pip install "latelite[hnsw]"`.')
        )
    if (facts["memory_mib"] or 1024) < 512:
        result.append(Finding("advice", f"{facts['memory_mib']} MiB of memory: keep to int8 and one thread."))
    return result


def _precision(flags: Collection[str] | None, architecture: str | None) -> list[Finding]:
    """Which graph `ColBERT` runs here when it is not told."""
    if flags is None:
        return []
    choice = choose({"fp32": Graph("", "fp32"), "int8": Graph("", "int8")}, flags, architecture or "")
    text = f"{choice.reason}: models run in {choice.precision} unless told otherwise."
    if flags:
        return [Finding("ok", text)]
    if choice.precision == "int8":
        text += " Their weights are turned unsigned first, or sums would overflow; bundles made with `latelite-export"
        text += " --scheme int8-avx2` (7-bit weights) need that not and may be faster."
    else:
        text += " Measure precision int8 too if memory is short."
    return [Finding("advice", text)]
