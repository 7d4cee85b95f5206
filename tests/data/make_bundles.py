"""Rewrite the bundles of tests/data/bundles: ``python tests/data/make_bundles.py`` (needs the export toolchain).

They are exports of three cases of the golden matrix (tests/reference), kept so that the runtime's tests need neither
PyTorch nor the exporter. tests/export/test_kept_bundles.py fails when they are not what the exporter writes.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

BUNDLES = Path(__file__).parent / "bundles"
NAMES = ("bert-pylate", "bert-expansion", "bert-prompts")


def main() -> None:
    """Export each case."""
    sys.path.insert(0, str(BUNDLES.parents[1]))
    from latelite_export import export
    from reference import checkpoints

    cases = {case.name: case for case in checkpoints.CASES}
    with tempfile.TemporaryDirectory() as folder:
        for name in NAMES:
            checkpoints.write(cases[name], Path(folder) / name)
            export(Path(folder) / name, BUNDLES / name, override=True)


if __name__ == "__main__":
    main()
