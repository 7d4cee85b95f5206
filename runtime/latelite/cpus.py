"""How many CPUs there are to work with."""

from __future__ import annotations

import os


def usable_cpus() -> int:
    """CPUs that this process may use (respects taskset and container CPU sets where the system tells)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
