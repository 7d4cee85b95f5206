"""Interleaved timing of calls, and start-up time and memory of a process."""

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
"""Seconds for which a call is repeated before the next call's turn."""

PAUSE = 0.02
"""Seconds between turns, so that the previous call's worker threads stop spinning. Without it, an engine with two
threads took 50 instead of 29 ms for 512 tokens after another one."""

# Run in a separate process with only NumPy and ONNX Runtime.
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
    """Durations of one call in seconds."""

    repeated: list[float] = field(default_factory=list)
    """Repeated calls."""
    fresh: list[float] = field(default_factory=list)
    """First calls after another engine with other weights, as in an application that encodes now and then."""

    def summary(self) -> dict[str, float]:
        """In ms: ``p50``, ``p90`` and ``min`` of repeated calls, p50 of ``fresh`` ones; and the number of calls."""
        p50, p90 = np.percentile(self.repeated, [50, 90]) * 1e3
        return {
            "p50": float(p50),
            "p90": float(p90),
            "min": min(self.repeated) * 1e3,
            "fresh": float(np.median(self.fresh)) * 1e3,
            "calls": len(self.repeated),
        }


def alternate(calls: Mapping[str, Callable[[], Any]], seconds: float) -> dict[str, Times]:
    """Time calls in turns, so that disturbances affect all of them.

    A turn is a block of `BLOCK` seconds, or one call if that takes longer. Turns of single calls would measure how fast
    weights are loaded from memory: 2.3 instead of 1.5 ms for 32 tokens.

    Args:
        calls: name -> function.
        seconds: time per function.
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
    """Start-up time and memory of a process that loads a graph and encodes a query, then a long text.

    Returns:
        ``load_ms``, ``first_call_ms`` (32 tokens), and in MB (10^6) ``resident_mb`` after it, ``peak_mb`` and
        ``resident_after_long_text_mb``; None without /proc.
    """
    command = [sys.executable, "-c", _PROBE, path, "arena" if arena else "none", str(tokens)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float | None] = json.loads(done.stdout)
    return found
