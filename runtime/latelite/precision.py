"""Choice of a bundle's graph for a CPU."""

from __future__ import annotations

import platform
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from latelite.cpus import int8_flags, int8_saturates
from latelite.manifest import Graph, Precision


@dataclass(frozen=True)
class Choice:
    """A precision, and the reason for it."""

    precision: Precision
    reason: str


def choose(graphs: Mapping[str, Graph], flags: Collection[str] | None, machine: str) -> Choice:
    """The best precision of a bundle for a CPU.

    int8, except on Arm without integer dot products (Raspberry Pi 4), where it is hardly faster than fp32 and less
    exact. On x86 without them it still needs only a quarter of the memory, and `latelite.session` avoids overflow.

    Args:
        graphs: precision -> graph, from the manifest.
        flags: from `latelite.cpus.int8_flags`; None if unknown.
        machine: architecture, as in `platform.machine`.
    """
    if "int8" not in graphs:
        return Choice("fp32", "the bundle has no int8 graph")
    if "fp32" not in graphs:
        return Choice("int8", "the bundle has no fp32 graph")
    if flags is None:
        return Choice("int8", "the CPU's features are unknown")
    if flags:
        return Choice("int8", f"the CPU has int8 dot products ({', '.join(flags)})")
    if int8_saturates(flags, machine):
        return Choice("int8", "the CPU has no int8 dot products, but int8 takes less memory")
    return Choice("fp32", "the CPU has no int8 dot products, so int8 may not be faster")


def choose_here(graphs: Mapping[str, Graph]) -> Choice:
    """Call `choose` for this machine."""
    return choose(graphs, int8_flags(), platform.machine())
