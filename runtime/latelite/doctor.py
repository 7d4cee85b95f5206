"""Checks of this machine, and advice about running latelite on it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Collection
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from typing import Any

from latelite import device
from latelite.cpus import cpu_quota
from latelite.manifest import Graph
from latelite.precision import choose

# Releases of ONNX Runtime that fail for latelite, with the symptom and the affected architectures. No release from
# 1.20.1 to 1.32.0 is known to be slow: in interleaved runs 1.20.1, 1.31.0 and 1.32.0 differ by less than 10 %.
_ARM = ("aarch64", "arm64")
_BAD_ONNXRUNTIME: dict[str, tuple[str, tuple[str, ...]]] = {
    "1.21.0": ("crashes on a Raspberry Pi 4", _ARM),
    "1.24.0": ("refuses models behind symbolic links", ()),
    "1.24.1": ("refuses models behind symbolic links", ()),
    # https://github.com/microsoft/onnxruntime/issues/31569
    "1.27.0": ("gives different vectors for the same text from call to call on Arm CPUs with SME", _ARM),
}
_ON_EVERY_MACHINE = {"CPUExecutionProvider", "AzureExecutionProvider"}
_TRIAL = """
import json
import onnxruntime
from latelite.maxsim import graphs
onnxruntime.InferenceSession(str(graphs.path("products")), providers=["CPUExecutionProvider"])
print(json.dumps([onnxruntime.__version__, onnxruntime.get_available_providers()]))
"""
_TRIAL_SECONDS = 120


@dataclass(frozen=True)
class Finding:
    """One result of the checks."""

    level: str
    """``"ok"``, ``"advice"`` or ``"problem"``; a problem makes ``latelite doctor`` exit with 1."""
    text: str


def facts() -> dict[str, Any]:
    """`device.record` and `device.state` of this machine, flattened, and the state of ONNX Runtime; None if unknown.

    ``onnxruntime`` is the version that a child process can load, or None; ``onnxruntime_error`` the reason if it
    cannot; ``onnxruntime_distributions`` the names under which it is installed; ``providers`` its execution providers;
    ``cpu_quota`` the container's limit in CPUs.
    """
    machine = device.record()
    versions = machine.pop("versions")
    state = device.state()
    del state["clock"], state["cpu_seconds"]  # meaningful only as differences
    return {
        **{name: versions.pop(name) for name in ("latelite", "python")},
        **machine,
        "cpu_quota": cpu_quota(),
        **versions,
        **try_onnxruntime(),
        "state": state,
    }


def try_onnxruntime(code: str = _TRIAL) -> dict[str, Any]:
    """Load ONNX Runtime and a graph in a child process, so that a crash becomes a finding.

    Args:
        code: program of the child; prints version and providers as JSON.
    """
    found: dict[str, Any] = {
        "onnxruntime": None,
        "onnxruntime_distributions": sorted(set(packages_distributions().get("onnxruntime", []))),
        "onnxruntime_error": None,
        "providers": None,
    }
    try:
        child = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=_TRIAL_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return found | {"onnxruntime_error": str(error)}
    if child.returncode < 0:
        return found | {"onnxruntime_error": f"the process is killed by {_signal_name(-child.returncode)}"}
    try:
        found["onnxruntime"], found["providers"] = json.loads(child.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        said = child.stderr.strip().splitlines()
        found["onnxruntime_error"] = said[-1] if said else f"the process ends with status {child.returncode}"
    return found


def findings(facts: dict[str, Any]) -> list[Finding]:
    """The results of all checks, given `facts`."""
    result = []
    if facts["bits"] != 64:
        result.append(Finding("problem", "Python runs in 32 bits; ONNX Runtime needs a 64-bit system."))
    for package in ("numpy", "tokenizers"):
        if facts[package] is None:
            result.append(Finding("problem", f"{package} is not installed; run `pip install latelite`."))
    result += _onnxruntime(facts) + _precision(facts["int8_flags"], facts["architecture"])
    if others := set(facts.get("providers") or ()) - _ON_EVERY_MACHINE:
        text = "run fp32 graphs on it with ColBERT(..., providers=[...]), and measure: small models may not get faster."
        result.append(Finding("advice", f"ONNX Runtime has {', '.join(sorted(others))}: {text}"))
    if (quota := facts.get("cpu_quota")) is not None and quota < facts["cores"]:
        text = f"by default, latelite uses {facts['usable_cores']} threads"
        result.append(Finding("advice", f"The container is limited to {quota:g} of {facts['cores']} CPUs; {text}."))
    result += [Finding("advice", warning) for warning in device.warnings(facts["state"])]
    if facts["hnswlib"] is None:
        text = "only HNSW indexes need it"
        how = 'a C++ compiler and Python\'s headers (python3-dev), then `pip install "latelite[hnsw]"`'
        result.append(Finding("advice", f"hnswlib is not installed; {text}. It is built from source: {how}."))
    if (facts["memory_mib"] or 1024) < 512:
        result.append(Finding("advice", f"{facts['memory_mib']} MiB of memory: use int8 and one thread."))
    return result


def _onnxruntime(facts: dict[str, Any]) -> list[Finding]:
    """Whether ONNX Runtime is installed once, can be loaded, and is a release that works here."""
    version, names = facts["onnxruntime"], facts.get("onnxruntime_distributions", [])
    if version is None and not names:
        return [Finding("problem", "onnxruntime is not installed; run `pip install latelite`.")]
    result = []
    if len(names) > 1:
        text = "they overwrite each other's files; uninstall all of them and install one"
        result.append(Finding("problem", f"ONNX Runtime is installed {len(names)} times ({', '.join(names)}): {text}."))
    if version is None:
        text = f"{', '.join(names)} is installed but cannot be loaded: {facts['onnxruntime_error']}"
        result.append(Finding("problem", f"{text}. Install another version, or Python from another source."))
    reason, architectures = _BAD_ONNXRUNTIME.get(version, ("", ()))
    if reason and (not architectures or facts["architecture"] in (None, *architectures)):
        result.append(Finding("problem", f"onnxruntime {version} {reason}; install another version."))
    return result


def _precision(flags: Collection[str] | None, architecture: str | None) -> list[Finding]:
    """The graph that `ColBERT` runs here by default."""
    if flags is None:
        return []
    choice = choose({"fp32": Graph("", "fp32"), "int8": Graph("", "int8")}, flags, architecture or "")
    text = f"{choice.reason}: models run in {choice.precision} by default."
    if flags:
        return [Finding("ok", text)]
    if choice.precision == "int8":
        text += " Weights are converted to unsigned to avoid overflow; bundles made with `latelite-export --scheme"
        text += " int8-avx2` (7-bit weights) do not need this and may be faster."
    else:
        text += " If memory is short, try precision int8."
    return [Finding("advice", text)]


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
