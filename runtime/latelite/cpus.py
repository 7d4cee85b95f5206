"""How many CPUs there are to work with, and what they can do."""

from __future__ import annotations

import os
import platform
from collections.abc import Collection
from pathlib import Path

INT8_FLAGS = ("avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")
"""CPU flags, as /proc/cpuinfo spells them, of integer dot products and matrix products."""
_X86 = ("x86_64", "amd64", "i686")


def usable_cpus() -> int:
    """CPUs that this process may use (respects taskset and container CPU sets where the system tells)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_flags(root: Path = Path("/")) -> frozenset[str] | None:
    """Flags of this machine's first CPU, as /proc/cpuinfo spells them; None when the system does not tell.

    Args:
        root: folder that /proc is read below.
    """
    try:
        lines = (root / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return None


def int8_flags(root: Path = Path("/")) -> tuple[str, ...] | None:
    """Those of `INT8_FLAGS` that are among `cpu_flags`; None when the system does not tell."""
    flags = cpu_flags(root)
    return None if flags is None else tuple(flag for flag in INT8_FLAGS if flag in flags)


def int8_saturates(flags: Collection[str] | None, machine: str) -> bool:
    """Whether sums of two int8 products overflow: an x86 without integer dot products adds them in 16 bits.

    Args:
        flags: the CPU's, see `int8_flags`; None when the system does not tell, and then no CPU is suspected.
        machine: as `platform.machine` spells it.
    """
    return flags is not None and not flags and machine.lower() in _X86


def int8_saturates_here() -> bool:
    """`int8_saturates` for this machine."""
    return int8_saturates(int8_flags(), platform.machine())
