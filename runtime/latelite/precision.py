"""Which of a bundle's graphs suits a CPU."""

from __future__ import annotations

import platform
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from latelite.cpus import int8_flags, int8_saturates
from latelite.manifest import Graph, Precision


@dataclass(frozen=True)
class Choice:
    """A precision, and why."""

    precision: Precision
    reason: str


def choose(graphs: Mapping[str, Graph], flags: Collection[str] | None, machine: str) -> Choice:
    """The precision for a bundle on a CPU.

    int8, except on an Arm without integer dot products (Raspberry Pi 4), where it is hardly faster than fp32 and less
    exact. On an x86 without them it needs a quarter of the memory at least, and what would overflow there is avoided
    by `latelite.session`.

    Args:
        graphs: of the bundle's manifest, precision -> graph.
        flags: the CPU's, see `latelite.cpus.int8_flags`; None when the system does not tell.
        machine: as `platform.machine` spells it.
    """
    if "int8" not in graphs:
        return Choice("fp32", "the bundle has no int8 graph")
    if "fp32" not in graphs:
        return Choice("int8", "the bundle has no fp32 graph")
    if flags is None:
        return Choice("int8", "the system does not tell what the CPU can do")
    if flags:
        return Choice("int8", f"the CPU has int8 dot products ({', '.join(flags)})")
    if int8_saturates(flags, machine):
        return Choice("int8", "the CPU has no int8 dot products, but int8 takes less memory")
    return Choice("fp32", "the CPU has no int8 dot products, without which int8 may not be faster")


def choose_here(graphs: Mapping[str, Graph]) -> Choice:
    """`choose` for this machine."""
    return choose(graphs, int8_flags(), platform.machine())
