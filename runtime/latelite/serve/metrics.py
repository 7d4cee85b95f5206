"""What the server has done, as Prometheus reads it."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

BOUNDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Seconds: upper bounds of the histogram's buckets."""


class Metrics:
    """Counts and times of requests. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started = time.time()
        self._requests: dict[tuple[str, str, int], int] = defaultdict(int)
        self._buckets: dict[str, list[int]] = defaultdict(lambda: [0] * (len(BOUNDS) + 1))
        self._seconds: dict[str, float] = defaultdict(float)

    def count(self, route: str, method: str, status: int, seconds: float) -> None:
        """Note one answered request."""
        place = sum(seconds > bound for bound in BOUNDS)
        with self._lock:
            self._requests[route, method, status] += 1
            self._buckets[route][place] += 1
            self._seconds[route] += seconds

    def render(
        self,
        *,
        present: Mapping[str, int],
        refused: Mapping[str, int],
        documents: Mapping[str, int],
    ) -> str:
        """The text exposition format, version 0.0.4.

        Args:
            present: requests in each queue, those being worked on included.
            refused: requests that found a queue full, or waited in vain.
            documents: of each collection.
        """
        with self._lock:
            requests = dict(self._requests)
            buckets = {route: list(counts) for route, counts in self._buckets.items()}
            seconds = dict(self._seconds)
        lines = _family(
            "latelite_requests_total",
            "counter",
            "Answered requests.",
            (
                (f'route="{route}",method="{method}",status="{status}"', count)
                for (route, method, status), count in sorted(requests.items())
            ),
        )
        lines += ["# HELP latelite_request_seconds Time to answer.", "# TYPE latelite_request_seconds histogram"]
        for route, counts in sorted(buckets.items()):
            total = 0
            for bound, count in zip((*map(str, BOUNDS), "+Inf"), counts, strict=True):
                total += count
                lines.append(f'latelite_request_seconds_bucket{{route="{route}",le="{bound}"}} {total}')
            lines.append(f'latelite_request_seconds_sum{{route="{route}"}} {seconds[route]:.6f}')
            lines.append(f'latelite_request_seconds_count{{route="{route}"}} {total}')
        for name, kind, text, values in (
            ("latelite_queue_requests", "gauge", "Requests waiting or at work, by queue.", present),
            ("latelite_refused_total", "counter", "Requests refused because a queue was full or slow.", refused),
        ):
            lines += _family(name, kind, text, ((f'queue="{label}"', value) for label, value in values.items()))
        lines += _family(
            "latelite_documents",
            "gauge",
            "Documents in a collection.",
            ((f'collection="{_escaped(name)}"', count) for name, count in documents.items()),
        )
        lines += _family("process_start_time_seconds", "gauge", "When the server started.", [("", self._started)])
        if (resident := _resident_bytes()) is not None:
            lines += _family("process_resident_memory_bytes", "gauge", "Resident memory.", [("", resident)])
        return "\n".join(lines) + "\n"


def _family(name: str, kind: str, text: str, values: Iterable[tuple[str, float]]) -> list[str]:
    lines = [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
    return lines + [f"{name}{{{labels}}} {value}" if labels else f"{name} {value}" for labels, value in values]


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _resident_bytes() -> int | None:
    """Of this process; None where the system has no /proc."""
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None
