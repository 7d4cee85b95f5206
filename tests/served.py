"""Shared by the tests of the server: documents, and the server as a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from latelite import Collection

TOKEN = "a-token-for-tests"
HERE = "http://127.0.0.1:8765"

DOCUMENTS: list[tuple[int | str, str, str, int, str]] = [
    (
        "files.md#1",
        "Delete a whole directory tree: rmtree removes a folder and all that is in it.",
        "files.md",
        1,
        "en",
    ),
    ("files.md#2", "Create a temporary file that disappears when it is closed 🚚 on any system.", "files.md", 5, "en"),
    ("files.md#3", "Move a file or directory to another location; it is copied first.", "files.md", 9, "en"),
    ("bahn.md#1", "Der Nachtzug nach Hamburg fährt um sieben Uhr abends ab.", "bahn.md", 1, "de"),
    ("pain.md#1", "Le pain de seigle demande du temps et un four très chaud.", "pain.md", 1, "fr"),
    ("tren.md#1", "El tren sale a las siete. <script>window.hacked = 1</script> <b>no</b>", "tren.md", 1, "es"),
    (7, "Roggebrood heeft tijd nodig en een hete oven.", "brood.md", 1, "nl"),
    ("../../etc/passwd", "A document whose id looks like a path.", "odd.md", 1, "en"),
]


def fill(collection: Collection) -> None:
    collection.add(
        [id for id, *_ in DOCUMENTS],
        [text for _, text, *_ in DOCUMENTS],
        [{"path": path, "line": line, "lang": lang, "tags": [lang, "all"]} for _, _, path, line, lang in DOCUMENTS],
        show_progress_bar=False,
    )


@contextmanager
def serving(*arguments: str | Path, environment: dict[str, str] | None = None) -> Iterator[str]:
    """``latelite serve`` as a process on a free port; gives its address, without a slash at the end."""
    import httpx

    process = subprocess.Popen(
        [sys.executable, "-m", "latelite.cli", "serve", *map(str, arguments), "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "http://" in line, "the server did not start; its message is on standard error"
        address = line.partition("at ")[2].partition("  ")[0].rstrip("/")
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and httpx.get(f"{address}/healthz").status_code != 200:
            time.sleep(0.05)
        yield address
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=20)
        finally:
            process.kill()
