"""Times of calls that are compared with each other, and of a process's start."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

BLOCK = 0.05
"""Seconds that a call is repeated for before the next one's turn."""

PAUSE = 0.02
"""Seconds between turns, in which worker threads of the call before stop spinning. Without it, two threads took 50
instead of 29 ms for 512 tokens after another engine with two."""

# What runs in a process of its own: nothing is loaded but NumPy and ONNX Runtime.
_PROBE = """
import json, sys, time
import numpy as np, onnxruntime
path, arena, tokens = sys.argv[1], sys.argv[2] == "arena", int(sys.argv[3])
def memory(key):
    try:
        with open("/proc/self/status") as lines:
            return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith(key))
    except OSError:
        return None
start = time.perf_counter()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
options.enable_cpu_mem_arena = arena
options.enable_mem_pattern = False
options.log_severity_level = 3
session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
names = [entry.name for entry in session.get_inputs()]
shrink = onnxruntime.RunOptions()
if arena:
    shrink.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
def call(count, options=None):
    ids = np.full((1, count), 100, dtype=np.int64)
    session.run(None, {name: ids if name == "input_ids" else np.ones_like(ids) for name in names}, options)
loaded = time.perf_counter()
call(32)
first = time.perf_counter()
before = memory("VmRSS")
call(tokens, shrink)
peak = memory("VmHWM")
call(32)
print(json.dumps({"load_ms": (loaded - start) * 1e3, "first_call_ms": (first - loaded) * 1e3, "resident_mb": before,
    "peak_mb": peak, "resident_after_long_text_mb": memory("VmRSS")}))
"""


@dataclass
class Times:
    """Seconds of one call."""

    repeated: list[float] = field(default_factory=list)
    """Of calls that the same call came before."""
    fresh: list[float] = field(default_factory=list)
    """Of calls that something else came before, with other weights: an application that encodes now and then."""

    def summary(self) -> dict[str, float]:
        """ms: ``p50``, ``p90`` and ``min`` of repeated calls and their number, ``fresh`` p50."""
        p50, p90 = np.percentile(self.repeated, [50, 90]) * 1e3
        return {
            "p50": float(p50),
            "p90": float(p90),
            "min": min(self.repeated) * 1e3,
            "fresh": float(np.median(self.fresh)) * 1e3,
            "calls": len(self.repeated),
        }


def alternate(calls: Mapping[str, Callable[[], Any]], seconds: float) -> dict[str, Times]:
    """Times of calls in turn, so that whatever disturbs one disturbs all.

    A turn lasts `BLOCK` and at least one call. Single calls in turn would measure how fast weights come back from
    memory: 2.3 ms where a block gives 1.5 for 32 tokens. Calls longer than a block are not repeated for that.

    Args:
        calls: name -> what to do.
        seconds: for each call.
    """
    times = {name: Times() for name in calls}
    end = time.perf_counter() + seconds * len(calls)
    while time.perf_counter() < end or len(next(iter(times.values())).fresh) < 3:
        for name, call in calls.items():
            time.sleep(PAUSE)
            turn = time.perf_counter()
            call()
            last = time.perf_counter()
            times[name].fresh.append(last - turn)
            if last - turn > BLOCK:
                times[name].repeated.append(last - turn)
            while last - turn < BLOCK:
                call()
                now = time.perf_counter()
                times[name].repeated.append(now - last)
                last = now
    return times


def probe(path: str, *, arena: bool, tokens: int) -> dict[str, float | None]:
    """Start and memory of a process that loads a graph, encodes a query, then a long text.

    Returns:
        ``load_ms``, ``first_call_ms`` (32 tokens), and in MB (10^6) ``resident_mb`` after it, ``peak_mb`` and
        ``resident_after_long_text_mb``; None where there is no /proc.
    """
    command = [sys.executable, "-c", _PROBE, path, "arena" if arena else "none", str(tokens)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float | None] = json.loads(done.stdout)
    return found
