"""A writer that is killed: adds, replaces, removes and compacts for ever, and prints what was acknowledged.

python writer_process.py FOLDER BUNDLE
"""

from __future__ import annotations

import itertools
import json
import random
import sys

from latelite import Collection


def say(what: str, state: dict[str, str]) -> None:
    sys.stdout.write(json.dumps([what, state]) + "\n")
    sys.stdout.flush()


def main() -> None:
    folder, bundle = sys.argv[1:]
    with Collection(folder, bundle, threads=1) as collection:
        known = {str(id_): collection.get(id_).text for id_ in collection.ids}
        say("open", known)
        for step in itertools.count():
            what = random.choice(["add", "add", "add", "replace", "remove", "compact", "metadata"])
            some = random.sample(sorted(known), min(2, len(known)))
            if what == "add" or not some:
                changes = {f"{random.random()}": f"text number {step}" for _ in range(random.randint(1, 5))}
            elif what == "replace":
                changes = dict.fromkeys(some, f"new text {step}")
            else:
                changes = {}
            after = {**known, **changes}
            if what == "remove" and some:
                after = {id_: text for id_, text in known.items() if id_ not in some}
            say("begin", after)
            if changes:
                collection.add(list(changes), list(changes.values()))
            elif what == "remove" and some:
                collection.remove(some)
            elif what == "compact":
                collection.compact()
            elif some:
                collection.update_metadata(some, [{"step": step}] * len(some))
            known = after
            say("done", known)


if __name__ == "__main__":
    main()
