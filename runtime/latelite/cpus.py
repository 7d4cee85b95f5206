"""Number and features of the CPUs."""

from __future__ import annotations

import math
import os
import platform
import struct
from collections.abc import Collection, Iterator
from pathlib import Path

ROOT = Path("/")
_X86 = ("x86_64", "amd64", "i686")
_ARM = ("aarch64", "arm64")
INT8_FLAGS = ("avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")
"""CPU flags, as in /proc/cpuinfo, of integer dot and matrix products."""

# Entries of the auxiliary vector, and the bits of each that matter here: Linux, arch/arm64/include/uapi/asm/hwcap.h.
_AUXILIARY = {
    16: {"asimd": 1, "fphp": 9, "asimdhp": 10, "asimddp": 20, "sve": 22},
    26: {"sve2": 1, "i8mm": 13, "bf16": 14, "sme": 23},
}
_BYTES_PER_ENTRY = 16


def usable_cpus(root: Path = ROOT) -> int:
    """Number of CPUs that this process may use, by its affinity mask and its container's quota.

    Args:
        root: folder that contains /proc and /sys.
    """
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota(root)
    return count if quota is None else max(1, min(count, math.ceil(quota)))


def cpu_quota(root: Path = ROOT) -> float | None:
    """CPU limit of this process's control groups (version 1 or 2), in CPUs, as set by ``docker run --cpus``.

    None if there is no limit. Limits of parent groups apply, too, so the smallest is returned.
    """
    limits = []
    for folder in _control_groups(root):
        if words := _text(folder / "cpu.max").split():
            quota, period = words[0], words[1] if len(words) > 1 else "100000"
        else:
            quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
        if quota.isdigit() and period.isdigit() and int(period) > 0:  # "max" and -1 mean no limit
            limits.append(int(quota) / int(period))
    return min(limits, default=None)


def cpu_flags(root: Path = ROOT, machine: str | None = None) -> frozenset[str] | None:
    """CPU features under the names of /proc/cpuinfo; None if unknown.

    On Arm they come from the process's auxiliary vector, because under emulation /proc/cpuinfo may describe the host.
    For the same reason, lines in the format of another architecture are ignored.

    Args:
        root: folder that contains /proc.
        machine: architecture, as in `platform.machine`; None: this machine's or, with another root, that of the files.
    """
    machine = (machine or (platform.machine() if root == ROOT else "")).lower()
    if machine in _ARM and (told := _auxiliary_flags(root)) is not None:
        return told
    keys = ("Features",) if machine in _ARM else ("flags",) if machine in _X86 else ("Features", "flags")
    for line in _text(root / "proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in keys:
            return frozenset(value.split())
    return None


def int8_flags(root: Path = ROOT, machine: str | None = None) -> tuple[str, ...] | None:
    """The `INT8_FLAGS` that the CPU has; None if unknown. Arguments as for `cpu_flags`."""
    flags = cpu_flags(root, machine)
    return None if flags is None else tuple(flag for flag in INT8_FLAGS if flag in flags)


def int8_saturates(flags: Collection[str] | None, machine: str) -> bool:
    """Whether sums of two int8 products overflow, as on x86 without integer dot products, which adds them in 16 bits.

    True for x86 with unknown flags (not Linux): the workaround only costs speed, but wrong sums would go unnoticed.

    Args:
        flags: from `int8_flags`; None if unknown.
        machine: architecture, as in `platform.machine`.
    """
    return not flags and machine.lower() in _X86


def int8_saturates_here() -> bool:
    """`int8_saturates` for this machine."""
    return int8_saturates(int8_flags(), platform.machine())


def _auxiliary_flags(root: Path) -> frozenset[str] | None:
    """AT_HWCAP and AT_HWCAP2 of this process, by name."""
    try:
        content = (root / "proc/self/auxv").read_bytes()
    except OSError:
        return None
    if len(content) % _BYTES_PER_ENTRY:
        return None
    values = dict(struct.iter_unpack("<QQ", content))
    if min(_AUXILIARY) not in values:
        return None
    return frozenset(
        name for entry, bits in _AUXILIARY.items() for name, bit in bits.items() if values.get(entry, 0) >> bit & 1
    )


def _control_groups(root: Path) -> Iterator[Path]:
    """Folders that may contain a CPU limit: this process's groups and their parents.

    In a container, the paths of groups may be the host's, which are not mounted; the container's group is then the
    mount itself.
    """
    mount = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = mount / controllers if controllers else mount
        group = top / path.lstrip("/")
        while top in group.parents:
            yield group
            group = group.parent
        yield top


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
