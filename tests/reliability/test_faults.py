"""The system says no: every call that writes, syncs, opens or maps fails once, at each place, with each error.

strace makes them fail, SQLite's own included. The call raises one of our errors, which says what the system said, or it
succeeds; nothing that was there is lost, what is left is sound, and the next call works.
``LATELITE_FAULTS=1000`` sets how many are tried; ``LATELITE_SEED=1`` tries others.
"""

from __future__ import annotations

import errno
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from latelite import Collection
from reliability import recording
from reliability.conftest import SEED

FAULTS = int(os.environ.get("LATELITE_FAULTS", "32"))
WRITES = {
    "write": ("ENOSPC", "EIO", "EDQUOT"),
    "pwrite64": ("ENOSPC", "EIO"),
    "fsync": ("EIO", "ENOSPC"),
    "fdatasync": ("EIO", "ENOSPC"),
    "openat": ("EMFILE", "ENFILE", "EACCES", "EROFS", "EIO"),
    "rename": ("ENOSPC", "EIO", "EACCES"),
    "mkdir": ("ENOSPC", "EACCES", "EROFS"),
    "mmap": ("ENOMEM", "ENODEV"),
    "unlink": ("EIO", "EACCES"),
    "fcntl": ("ENOLCK",),
    "ftruncate": ("EIO",),
}
"""Call -> what it may answer."""

PROGRAM = """
import json, os, sys
import numpy
from latelite import Collection
from latelite.errors import LateliteError
from latelite.storage import writing
writing.RECENT_TOKENS = 64
folder, bundle, operation, backup = sys.argv[1:]
def run():
    with Collection(folder, bundle, threads=1, timeout=0.2) as collection:
        if operation == "add":
            collection.add(["new", "0"], ["a new text " * 3, "another text"])
        elif operation == "many":
            collection.add(range(100, 140), ["one of many texts"] * 40)
        elif operation == "remove":
            collection.remove(["0", "1"])
        elif operation == "compact":
            collection.compact()
        elif operation == "search":
            assert collection.search("text 3", k=2)
        elif operation == "backup":
            collection.backup(backup)
print("ready", flush=True)
os.read(0, 1)  # until strace is there
try:
    run()
    answer = ["done", "", 0]
except LateliteError as error:
    answer = ["refused", f"{type(error).__name__}: {error}", getattr(error, "errno", None)]
except OSError as error:
    answer = ["system", f"{type(error).__name__}: {error}", error.errno]
except MemoryError as error:
    answer = ["memory", str(error), 0]
os.write(1, (json.dumps(answer) + "\\n").encode())
os._exit(0)
"""
OPERATIONS = ["create", "add", "many", "remove", "compact", "search", "backup"]

pytestmark = pytest.mark.skipif(recording.why_not() is not None, reason=str(recording.why_not()))


def run_with(fault: str | None, arguments: list[str], trace: Path) -> tuple[list[Any], str]:
    """Run the program; returns its answer and the calls that were made to fail."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PROGRAM, *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        strace = ["strace", "-qq", "-o", str(trace), "-p", str(process.pid), "-e", "signal=none"]
        # A thread that gets no memory while it starts leaves Thread.start waiting for ever (python/cpython#140746).
        strace += [] if fault and fault.startswith("mmap:") else ["-f"]
        strace += ["-e", f"trace={fault.split(':')[0]}", "-e", f"inject={fault}"] if fault else []
        with subprocess.Popen(strace, stderr=subprocess.DEVNULL) as tracer:
            while not trace.exists() or "TracerPid:\t0" in Path(f"/proc/{process.pid}/status").read_text():
                time.sleep(0.001)
            process.stdin.write("\n")
            process.stdin.close()
            said = process.stdout.read()
            tracer.wait(timeout=60)
    injected = "\n".join(line for line in trace.read_text().splitlines() if "INJECTED" in line)
    assert said, f"the process died: {fault}, {arguments}, {injected}"
    return json.loads(said.splitlines()[-1]), injected


def contents(folder: Path) -> dict[str, Any]:
    with Collection(folder) as collection:
        collection.verify()
        found = {str(each.id): each.text for each in collection}
        assert len(collection.search("text", k=3)) == min(3, len(found))
    return found


def test_every_fault_is_told_and_harmless(
    tmp_path: Path, bundle: Callable[[str], Path], record_property: Callable[[str, object], None]
) -> None:
    rng = random.Random(1 + SEED)
    injected_count = hit = 0
    for case in range(FAULTS):
        operation = OPERATIONS[case % len(OPERATIONS)]
        call = rng.choice(list(WRITES))
        code = rng.choice(WRITES[call])
        # Before the first twenty calls or so are those that open; a creation writes more.
        fault = f"{call}:error={code}:when={rng.randint(1, 24)}"
        folder = tmp_path / str(case) / "notes.lt"
        before: dict[str, Any] = {}
        if operation != "create":
            with Collection(folder, bundle("bert-pylate"), threads=1) as collection:
                collection.add([*map(str, range(8))], [f"text {number}" for number in range(8)])
            before = contents(folder)
        trace = tmp_path / f"trace-{case}"
        backup = tmp_path / str(case) / "backup.lt"
        arguments = [str(folder), str(bundle("bert-pylate")), operation, str(backup)]
        (word, message, number), injected = run_with(fault, arguments, trace)
        about = f"case {case}, {operation}, {fault}: {word} {message} ({injected[:300]})"
        injected_count += bool(injected)
        after = {**before}
        if operation == "add":
            after |= {"new": "a new text " * 3, "0": "another text"}
        elif operation == "many":
            after |= dict.fromkeys(map(str, range(100, 140)), "one of many texts")
        elif operation == "remove":
            after = {i: text for i, text in before.items() if i not in "01"}
        if injected and word != "done":
            hit += 1
            assert "damaged" not in message, about  # a fault is no damage
            expected = getattr(errno, code)
            assert number in (expected, errno.EIO, errno.EACCES, None, 0), about
        elif not injected:
            assert word == "done", about
        if operation == "create":
            Collection(folder, bundle("bert-pylate"), threads=1).close()
        found = contents(folder)
        assert found == after if word == "done" else found in (before, after), about
        assert backup.exists() == (operation == "backup" and word == "done"), about
        if backup.exists():
            assert contents(backup) == before, about
        with Collection(folder) as collection:  # and life goes on
            collection.add(["later"], ["a later text"])
            assert collection.get("later").text == "a later text"
    record_property("cases", FAULTS)
    record_property("injected", injected_count)
    record_property("told", hit)
    assert hit, "no call failed: nothing was proved"
