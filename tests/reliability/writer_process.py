"""Processes that write until they are killed.

Reads jobs from standard input, one JSON object a line, and forks for each: imports are paid for once, so hundreds of
processes can be killed in minutes. Prints the pid of the child, and its wait status when it has ended.

A child writes to ``job["log"]`` a line before each operation and one after it returned: ``["begin", name, state]`` and
``["done", name, state]``. What a document holds follows from its id and version, so a mix of two states would be seen.
"""

from __future__ import annotations

import json
import os
import random
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from latelite import Collection, indexes
from latelite.storage import writing

OPTIONS: dict[str, dict[str, Any]] = {
    "HNSW": {"graph_threshold": 100, "threads": 1},
    "IVF": {"scan_threshold": 100, "n_centroids": 16},
}
RECENT_TOKENS = 64
"""So that segments are written all the time."""
MOST = 120
"""Documents; more would only slow the compactions down."""

State = dict[str, Any]
"""Id -> version of an index's document; id -> text and metadata of a collection's."""


def vectors(id_: str, version: int) -> Any:
    """(tokens, 16) of one version of a document; the first token tells which it is, whatever int8 makes of it."""
    rng = np.random.default_rng([int(id_) + 1, version])
    made = rng.standard_normal((3 + int(id_) % 9, 16))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def text(id_: str, version: int) -> str:
    """A text of a few tokens, which are as different as the tiny vocabulary of the test's models allows."""
    words = np.random.default_rng([int(id_) + 1, version]).integers(0, 26, 4 + int(id_) % 9)
    return f"{version} " + " ".join(chr(97 + word) for word in words)


class IndexWriter:
    """One kind of index, by itself."""

    operations = ("add", "add", "replace", "remove", "compact")

    def __init__(self, job: dict[str, Any]) -> None:
        self.index = getattr(indexes, job["kind"])(job["folder"], "index", **OPTIONS.get(job["kind"], {}))

    def state(self) -> State:
        """Versions cannot be read from vectors, so an index goes on from an empty state or from what the test says."""
        return {}

    def after(self, operation: str, state: State, chosen: list[str], version: int) -> State:
        if operation in ("add", "replace"):
            return {**state, **dict.fromkeys(chosen, version)}
        return {i: v for i, v in state.items() if operation != "remove" or i not in chosen}

    def run(self, operation: str, chosen: list[str], state: State) -> None:
        if operation in ("add", "replace"):
            method = self.index.add_documents if operation == "add" else self.index.update_documents
            method(chosen, [vectors(i, state[i]) for i in chosen])
        elif operation == "remove":
            self.index.remove_documents(chosen)
        else:
            self.index.compact()


class CollectionWriter:
    """A whole collection."""

    operations = ("add", "add", "replace", "update", "remove", "compact", "backup")

    def __init__(self, job: dict[str, Any]) -> None:
        self.folder = Path(job["folder"])
        self.collection = Collection(self.folder / "notes.lt", job["bundle"], index=job["index"], threads=1)

    def state(self) -> State:
        return {str(each.id): [each.text, each.metadata] for each in self.collection}

    def after(self, operation: str, state: State, chosen: list[str], version: int) -> State:
        after = dict(state)
        for i in chosen:
            if operation in ("add", "replace"):
                after[i] = [text(i, version), {"version": version}]
            elif operation == "update":
                after[i] = [state[i][0], {"version": version}]
            elif operation == "remove":
                del after[i]
        return after

    def run(self, operation: str, chosen: list[str], state: State) -> None:
        if operation in ("add", "replace"):
            self.collection.add(chosen, [state[i][0] for i in chosen], [state[i][1] for i in chosen])
        elif operation == "update":
            self.collection.update_metadata(chosen, [state[i][1] for i in chosen])
        elif operation == "remove":
            self.collection.remove(chosen)
        elif operation == "compact":
            self.collection.compact()
        else:
            self.collection.backup(self.folder / f"backup-{random.getrandbits(32):08x}")


def work(job: dict[str, Any], say: Callable[[str, str, State], None]) -> None:
    """Write for ever, or ``job["steps"]`` operations."""
    writing.RECENT_TOKENS = RECENT_TOKENS
    rng = random.Random(job["seed"])
    random.seed(job["seed"])
    say("begin", "create", {})
    writer = CollectionWriter(job) if job["kind"] == "Collection" else IndexWriter(job)
    state = {**writer.state(), **job.get("state", {})}
    say("done", "create", state)
    fresh = max([-1, *map(int, state)]) + 1
    version = 1000 * (job["seed"] + 1)
    for _ in range(job.get("steps", sys.maxsize)):
        version += 1
        operation = rng.choice(writer.operations)
        if len(state) > MOST and operation == "add":
            operation = "remove"
        chosen = rng.sample(sorted(state), min(len(state), rng.randint(1, 20)))
        if operation == "add" or not chosen:
            operation = "add"
            chosen = [str(fresh + i) for i in range(rng.randint(1, 12))]
            fresh += len(chosen)
        target = writer.after(operation, state, chosen, version)
        say("begin", operation, target)
        writer.run(operation, chosen, target)
        state = target
        say("done", operation, state)


def child(job: dict[str, Any]) -> None:
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def say(word: str, operation: str, state: State) -> None:
        os.write(log, json.dumps([word, operation, state]).encode() + b"\n")

    status = 1
    try:
        work(job, say)
        status = 0
    finally:
        if status:
            traceback.print_exc()
            sys.stderr.flush()
        os._exit(status)


def main() -> None:
    while line := sys.stdin.readline():
        pid = os.fork()
        if not pid:
            child(json.loads(line))
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
        sys.stdout.write(f"{os.waitpid(pid, 0)[1]}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
