"""A process that writes to an index until it is killed.

    python writer_process.py KIND FOLDER SEED

Prints one line before each operation (``begin ...``) and one after it returned (``done ...``): the ids with the version
of each, as JSON. A document's vectors follow from its id and version, so a mix of two states would be seen.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np

from latelite import indexes
from latelite.storage import writing

OPTIONS: dict[str, dict[str, Any]] = {
    "HNSW": {"graph_threshold": 100},
    "IVF": {"scan_threshold": 100, "n_centroids": 16},
}
RECENT_TOKENS = 64
"""So that segments are written all the time."""


def vectors(id_: int, version: int) -> np.ndarray:
    """(tokens, 16) of one version of a document; the first token tells which it is, whatever int8 makes of it."""
    rng = np.random.default_rng([id_ + 1, version])
    made = rng.standard_normal((3 + id_ % 9, 16))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def say(word: str, content: Any) -> None:
    sys.stdout.write(f"{word} {json.dumps(content)}\n")
    sys.stdout.flush()


def main(kind: str, folder: str, seed: int) -> None:
    writing.RECENT_TOKENS = RECENT_TOKENS
    rng = random.Random(seed)
    state: dict[int, int] = dict(json.loads(Path(folder, "state.json").read_text()))
    index = getattr(indexes, kind)(folder, "index", **OPTIONS.get(kind, {}))
    fresh = max([-1, *state]) + 1
    version = 1000 * (seed + 1)
    say("ready", None)
    while True:
        version += 1
        operation = rng.choice(["add", "add", "update", "remove", "compact"])
        if operation == "add" and len(state) > 150:  # more would only slow the compactions down
            operation = "remove"
        chosen = rng.sample(sorted(state), min(len(state), rng.randint(1, 20)))
        target = dict(state)
        if operation == "add":
            chosen = list(range(fresh, fresh + rng.randint(1, 12)))
            fresh = chosen[-1] + 1
        if operation in ("add", "update"):
            target |= dict.fromkeys(chosen, version)
        elif operation == "remove":
            target = {i: v for i, v in state.items() if i not in chosen}
        say("begin", sorted(target.items()))
        if operation == "add":
            index.add_documents(chosen, [vectors(i, version) for i in chosen])
        elif operation == "update":
            index.update_documents(chosen, [vectors(i, version) for i in chosen])
        elif operation == "remove":
            index.remove_documents(chosen)
        else:
            index.compact()
        state = target
        say("done", sorted(state.items()))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
