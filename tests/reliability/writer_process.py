"""A process that writes to an index until it is killed.

    python writer_process.py KIND FOLDER SEED

Prints one line before each operation (``begin ...``) and one after it returned (``done ...``), as JSON. The operations
follow from the seed and from what is in the index, so that the parent can tell every allowed state.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

from latelite import indexes

sys.path.insert(0, str(Path(__file__).parent.parent))
from index_samples import topical

OPTIONS: dict[str, dict[str, Any]] = {
    "HNSW": {"graph_threshold": 100},
    "IVF": {"scan_threshold": 100, "n_centroids": 16},
}


def say(word: str, content: Any) -> None:
    sys.stdout.write(f"{word} {json.dumps(content)}\n")
    sys.stdout.flush()


def main(kind: str, folder: str, seed: int) -> None:
    rng = random.Random(seed)
    index = getattr(indexes, kind)(folder, "index", **OPTIONS.get(kind, {}))
    corpus = topical(200)
    state = {i: payload["version"] for i, payload in index.payloads() if payload}
    fresh = max([-1, *state]) + 1
    version = max([0, *state.values()])
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
        # Vectors depend on id and version, so that a mix of two versions would be seen.
        vectors = [corpus[(17 * i + version) % len(corpus)] for i in chosen]
        payloads = [{"version": version} for _ in chosen]
        say("begin", sorted(target.items()))
        if operation == "add":
            index.add_documents(chosen, vectors, payloads)
        elif operation == "update":
            index.update_documents(chosen, vectors, payloads)
        elif operation == "remove":
            index.remove_documents(chosen)
        else:
            index.compact()
        state = target
        say("done", sorted(state.items()))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
