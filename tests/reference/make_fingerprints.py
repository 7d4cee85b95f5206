"""Write fingerprints.json anew: ``python tests/reference/make_fingerprints.py`` (needs the export toolchain).

They identify the vector space of each case's checkpoint. A collection remembers its model's; where an exporter gives
another one for the same checkpoint, under another version of transformers say, no collection can be opened any more.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from latelite_export import configuration, encoder, layouts, tokenizer
from latelite_export.checkpoint import Overrides
from reference import checkpoints

FILE = Path(__file__).with_name("fingerprints.json")
REFUSED = ("st6-min",)
"""Cases that cannot be exported."""


def fingerprints(folder: Path) -> dict[str, str]:
    """Of the weights and of the tokenizer, as the manifest holds them."""
    resolved = layouts.read(folder, folder.name, None, Overrides())
    config = configuration.read(resolved.backbone)
    words = tokenizer.load(resolved, config.parsed)
    module = encoder.build(resolved, words, config)
    return {"weights_sha256": module.fingerprint, "tokenizer_sha256": words.fingerprint}


def main() -> None:
    found = {}
    for case in checkpoints.CASES:
        if case.name not in REFUSED:
            with tempfile.TemporaryDirectory() as folder:
                found[case.name] = fingerprints(checkpoints.write(case, Path(folder) / case.name))
    FILE.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
