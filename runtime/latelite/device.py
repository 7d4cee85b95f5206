"""Description and state of this machine, for `latelite doctor` and as the record of every benchmark.

`record` has the facts that do not change while a program runs, `state` those that do. `warnings` compares two states
and lists what may have disturbed a measurement between them. Only the standard library is needed. Unknown values are
None. All files are read below a root folder, so that tests can provide machines as files.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from latelite import __version__
from latelite.cpus import cpu_flags, int8_flags, usable_cpus

OTHER_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "asimdhp", "fphp", "bf16", "sve", "sve2")
"""CPU flags, as in /proc/cpuinfo, that matter for the speed of everything but int8."""
PACKAGES = ("numpy", "onnxruntime", "tokenizers", "hnswlib")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
HOT = 80.0
"""Temperature in degrees Celsius at which a Raspberry Pi starts to lower its clock."""

# Bits of the Raspberry Pi firmware's get_throttled: the current state, and 16 bits higher the same since boot.
_THROTTLE_BITS = ("under-voltage", "clock capped", "throttled", "soft temperature limit")
_SINCE_BOOT = 16
# Names of Arm part numbers; Linux on Arm does not report the CPU's name.
_ARM_PARTS = {
    "0xd03": "Cortex-A53",
    "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1",
    "0xd40": "Neoverse-V1",
    "0xd41": "Cortex-A78",
    "0xd42": "Cortex-A78AE",
    "0xd49": "Neoverse-N2",
    "0xd4f": "Neoverse-V2",
}
_ARM_IMPLEMENTER = "0x41"
_OTHER_WORK = 0.05
_STOLEN = 0.02
ROOT = Path("/")


def record(root: Path = ROOT) -> dict[str, Any]:
    """Facts about hardware and software.

    Args:
        root: folder that contains /proc and /sys.

    Returns:
        ``board``, ``soc``, ``cpu``, ``architecture``, ``bits``, ``cores``, ``usable_cores``, ``int8_flags``,
        ``other_flags`` (both None if unknown), ``memory_mib``, ``kernel``, ``system``,
        ``versions`` (package -> version or None) and ``threads`` (environment variable -> value or None).
    """
    cpuinfo = _cpuinfo(root)
    int8, flags = int8_flags(root), cpu_flags(root)
    arm = platform.machine().lower() in ("aarch64", "arm64")
    emulated = root == ROOT and arm and "flags" in cpuinfo  # then /proc/cpuinfo is that of an x86 host
    return {
        "board": _board(root),
        "soc": _soc(root),
        "cpu": None if emulated else _cpu(cpuinfo),
        "architecture": platform.machine() or None,
        "bits": 64 if sys.maxsize > 2**32 else 32,
        "cores": os.cpu_count(),
        "usable_cores": usable_cpus(),
        "int8_flags": None if int8 is None else list(int8),
        "other_flags": None if not flags else [flag for flag in OTHER_FLAGS if flag in flags],
        "memory_mib": _memory_mib(root, "MemTotal"),
        "kernel": f"{platform.system()} {platform.release()}",
        "system": _system(root),
        "versions": {
            "latelite": __version__,
            "python": platform.python_version(),
            **{package: _version(package) for package in PACKAGES},
            "blas": _blas(),
        },
        "threads": {name: os.environ.get(name) for name in THREAD_VARIABLES},
    }


def state(root: Path = ROOT) -> dict[str, Any]:
    """Facts that change while a program runs.

    Returns:
        ``governors`` (distinct names), ``mhz`` (fastest core now), ``max_mhz``, ``temperature_c`` (hottest zone),
        ``throttled`` (Raspberry Pi: ``now`` and ``since_boot``, lists of names), ``throttle_count`` (x86: events since
        boot), ``cooling`` (active processor cooling devices: type -> step), ``memory_available_mib``, ``cpu_seconds``
        (processor time of all cores since boot: ``busy``, ``stolen`` by the host, and ``own``, used by this process and
        the children it has waited for) and ``clock`` (seconds, monotonic). Unknown values are None.
    """
    return {
        "governors": _governors(root),
        "mhz": _clock_mhz(root, "scaling_cur_freq"),
        "max_mhz": _clock_mhz(root, "cpuinfo_max_freq"),
        "temperature_c": _temperature(root),
        "throttled": _throttled(root),
        "throttle_count": _throttle_count(root),
        "cooling": _cooling(root),
        "memory_available_mib": _memory_mib(root, "MemAvailable"),
        "cpu_seconds": _cpu_seconds(root),
        "clock": time.monotonic(),
    }


def warnings(before: Mapping[str, Any], after: Mapping[str, Any] | None = None) -> list[str]:
    """What may have disturbed a measurement between two states; given one state, what would disturb one now.

    Unknown values give no warning.
    """
    states = [before] if after is None else [before, after]
    found = []
    if others := sorted({name for each in states for name in each["governors"] or []} - {"performance"}):
        found.append(f"CPU governor is {', '.join(others)}, not performance: latency varies with the clock.")
    if reports := _reports(before, after):
        found.append(f"The board reports: {', '.join(reports)}.")
    counts = [each["throttle_count"] for each in states]
    if None not in counts and counts[-1] > counts[0]:
        found.append(f"The CPU lowered its clock {counts[-1] - counts[0]} times because of its temperature.")
    if cooling := {kind for each in states for kind in each["cooling"] or {}}:
        found.append(f"The clock is limited to cool the processor ({', '.join(sorted(cooling))}).")
    temperatures = [each["temperature_c"] for each in states if each["temperature_c"] is not None]
    if temperatures and max(temperatures) >= HOT:
        found.append(f"The processor is at {max(temperatures):.0f} °C; cool it, or its clock will be lowered.")
    return found if after is None else found + _shares(before, after)


def _reports(before: Mapping[str, Any], after: Mapping[str, Any] | None) -> list[str]:
    """The firmware's reports about now, and about the time between two states (or since boot)."""
    first = before["throttled"] or {"now": [], "since_boot": []}
    last = first if after is None else after["throttled"] or {"now": [], "since_boot": []}
    now = [*first["now"], *last["now"]]
    if after is None:
        past = [f"{name} since boot" for name in last["since_boot"] if name not in now]
    else:
        past = [f"{name} during the run" for name in last["since_boot"] if name not in [*now, *first["since_boot"]]]
    return list(dict.fromkeys([*now, *past]))


def _shares(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Warnings about processor time between two states that was used by others."""
    first, last = before["cpu_seconds"], after["cpu_seconds"]
    available = (after["clock"] - before["clock"]) * (os.cpu_count() or 1)
    if first is None or last is None or available < 1:
        return []
    spent = {name: last[name] - first[name] for name in first}
    found = []
    if (share := (spent["busy"] - spent["own"]) / available) > _OTHER_WORK:
        found.append(f"Other processes used {share:.0%} of the processor time during the run.")
    if (share := spent["stolen"] / available) > _STOLEN:
        found.append(f"The host of this virtual machine took {share:.0%} of the processor time.")
    return found


# --- machine


def _board(root: Path) -> str | None:
    for path in ("proc/device-tree/model", "sys/firmware/devicetree/base/model"):
        if name := _text(root / path):
            return name
    names = (_text(root / "sys/class/dmi/id" / part) for part in ("sys_vendor", "product_name"))
    return " ".join(name for name in names if name) or None


def _soc(root: Path) -> str | None:
    """Name of the system on a chip; the device tree lists compatible names from the board to the chip."""
    for path in ("proc/device-tree/compatible", "sys/firmware/devicetree/base/compatible"):
        if names := _text(root / path):
            return names.split("\0")[-1]
    names = " ".join(filter(None, (_text(root / "sys/devices/soc0" / part) for part in ("family", "soc_id"))))
    return names or None


def _cpuinfo(root: Path) -> dict[str, str]:
    """First value of each key."""
    found: dict[str, str] = {}
    for line in (_text(root / "proc/cpuinfo") or "").splitlines():
        key, colon, value = line.partition(":")
        if colon:
            found.setdefault(key.strip(), value.strip())
    return found


def _cpu(cpuinfo: Mapping[str, str]) -> str | None:
    maker, part = cpuinfo.get("CPU implementer"), cpuinfo.get("CPU part")
    if maker and part:  # Arm, where "model name" is missing or just "ARMv8 Processor"
        known = _ARM_PARTS.get(part.lower()) if maker.lower() == _ARM_IMPLEMENTER else None
        return known or f"implementer {maker}, part {part}"
    return cpuinfo.get("model name") or platform.processor() or None


def _memory_mib(root: Path, key: str) -> int | None:
    found = re.search(rf"^{key}:\s+(\d+) kB", _text(root / "proc/meminfo") or "", re.MULTILINE)
    return int(found[1]) >> 10 if found else None


def _system(root: Path) -> str | None:
    found = re.search(r'^PRETTY_NAME="?([^"\n]+)', _text(root / "etc/os-release") or "", re.MULTILINE)
    return found[1] if found else None


# --- software


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _blas() -> str | None:
    """Name and version of the BLAS that NumPy was built with."""
    try:
        import numpy as np

        built: Any = np.show_config(mode="dicts")
        blas = built["Build Dependencies"]["blas"]
    except (ImportError, KeyError, TypeError):
        return None
    return f"{blas.get('name')} {blas.get('version')}"


# --- state


def _governors(root: Path) -> list[str] | None:
    names = {_text(path) for path in _cpus(root, "cpufreq/scaling_governor")} - {None}
    return sorted(name for name in names if name) or None


def _clock_mhz(root: Path, name: str) -> int | None:
    clocks = list(_integers(_cpus(root, f"cpufreq/{name}")))
    return max(clocks) // 1000 if clocks else None


def _temperature(root: Path) -> float | None:
    values = (value / 1000 for value in _integers((root / "sys/class/thermal").glob("thermal_zone*/temp")))
    # Inactive sensors report values like -273 or 3276.
    return max((value for value in values if -40 < value < 150), default=None)


def _throttled(root: Path) -> dict[str, list[str]] | None:
    """Raspberry Pi only: the firmware's report, from the kernel or ``vcgencmd``."""
    word = _text(root / "sys/devices/platform/soc/soc:firmware/get_throttled")
    if word is None and root == ROOT and (command := shutil.which("vcgencmd")):
        try:
            asked = subprocess.run([command, "get_throttled"], capture_output=True, text=True, timeout=5, check=True)
        except (OSError, subprocess.SubprocessError):  # no firmware device, or no permission
            return None
        word = asked.stdout.strip().removeprefix("throttled=")
    try:
        bits = int(word or "", 16)
    except ValueError:
        return None
    return {
        "now": [name for bit, name in enumerate(_THROTTLE_BITS) if bits >> bit & 1],
        "since_boot": [name for bit, name in enumerate(_THROTTLE_BITS, start=_SINCE_BOOT) if bits >> bit & 1],
    }


def _throttle_count(root: Path) -> int | None:
    counts = list(_integers(_cpus(root, "thermal_throttle/core_throttle_count")))
    return sum(counts) if counts else None


def _cooling(root: Path) -> dict[str, int] | None:
    """Active cooling devices that lower the processor's clock; fans do not count."""
    found: dict[str, int] | None = None
    for folder in sorted((root / "sys/class/thermal").glob("cooling_device*")):
        kind = _text(folder / "type") or ""
        if "cpufreq" in kind or kind.startswith("Processor"):
            found = found or {}
            for step in _integers([folder / "cur_state"]):
                if step > 0:
                    found[kind] = max(step, found.get(kind, 0))
    return found


def _cpu_seconds(root: Path) -> dict[str, float] | None:
    found = re.search(r"^cpu +([\d ]+)$", _text(root / "proc/stat") or "", re.MULTILINE)
    if not found:
        return None
    # user nice system idle iowait irq softirq steal ...: proc(5)
    user, nice, system, _, _, irq, softirq, stolen, *_ = (int(value) for value in found[1].split())
    tick = os.sysconf("SC_CLK_TCK")
    own = os.times()
    return {
        "busy": (user + nice + system + irq + softirq) / tick,
        "stolen": stolen / tick,
        "own": own.user + own.system + own.children_user + own.children_system,
    }


# --- files


def _cpus(root: Path, name: str) -> Iterable[Path]:
    return sorted((root / "sys/devices/system/cpu").glob(f"cpu[0-9]*/{name}"))


def _text(path: Path) -> str | None:
    """Content without surrounding white space and NULs; None if it is empty or cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0\n ") or None
    except OSError:  # reading an existing sensor may fail
        return None


def _integers(paths: Iterable[Path]) -> Iterable[int]:
    for path in paths:
        try:
            yield int(_text(path) or "")
        except ValueError:
            continue
