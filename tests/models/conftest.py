"""The recipe is a folder of commands, not an installed package: make its package importable."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "models"))
