"""A checkpoint of the target's size: ten layers of 288, 30,522 WordPiece tokens, 2,048 positions."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from latelite import models
from latelite.manifest import Manifest
from latelite.models import ColBERT
from latelite_export import texts
from latelite_export.cli import main
from reference import checkpoints, vocabularies
from reference.case import LENGTHS, Case, Dense
from reference.texts import CORPUS

REAL = Path(__file__).resolve().parents[3] / "shared" / "checkpoints" / "answerai-colbert-small-v1-without-backbone"
ROWS, POSITIONS, QUERY = 30_522, 2048, 256
SPARE = ROWS - vocabularies.build("wordpiece-uncased").size
SHAPE = Case(
    name="target",
    about="the target's shape",
    layers=10,
    heads=12,
    hidden=288,
    intermediate=512,
    positions=POSITIONS,
    head=(Dense(128, residual=False),),
    added_tokens=(),
    spare_rows=SPARE,
    settings={
        **LENGTHS,
        "query_length": QUERY,
        "document_length": POSITIONS,
        "query_prefix": "[unused0]",
        "document_prefix": "[unused1]",
    },
)


def words_of_the_standard_library() -> list[str]:
    """Most frequent first."""
    folder = Path(json.__file__).parents[1]
    found: Counter[str] = Counter()
    for path in sorted(folder.glob("*.py")) + sorted(folder.glob("*/*.py")):
        found.update(re.findall(r"[a-z]{2,}", path.read_text(encoding="utf-8", errors="replace").lower()))
        if len(found) > 2 * ROWS:
            break
    return [word for word, _ in found.most_common()]


def with_a_made_vocabulary(folder: Path) -> None:
    """The tiny vocabulary, extended to 30,522 with words."""
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text())
    vocabulary = content["model"]["vocab"]
    for word in words_of_the_standard_library():
        if len(vocabulary) < ROWS:
            vocabulary.setdefault(word, len(vocabulary))
    assert len(vocabulary) == ROWS
    path.write_text(json.dumps(content))


def with_a_real_vocabulary(folder: Path) -> None:
    """BERT's vocabulary, as in published checkpoints of this kind; the synthetic one if it is not available."""
    if not REAL.is_dir():
        with_a_made_vocabulary(folder)
        return
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        shutil.copy(REAL / name, folder / name)


@pytest.mark.parametrize(("vocabulary", "expansion"), [(with_a_real_vocabulary, "on"), (with_a_made_vocabulary, "off")])
def test_it_is_exported_as_the_command_line_does(
    vocabulary: Callable[[Path], None], expansion: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = tuple(texts.Collection(c.language, c.queries[:4], c.documents[:6]) for c in texts.collections())
    monkeypatch.setattr(texts, "collections", lambda: few)  # a third of the time
    folder = checkpoints.write(SHAPE, tmp_path / "target")
    vocabulary(folder)
    out = tmp_path / "bundle"
    assert main([str(folder), "-o", str(out), "--query-expansion", expansion]) == 0
    manifest = Manifest.read(out)
    assert (manifest.max_positions, manifest.dim) == (POSITIONS, 128)
    assert manifest.graphs["int8"].details["graph"] == "fused"
    assert manifest.verification["fp32"]["max_abs_error"] <= 1e-4
    assert str(POSITIONS) in manifest.verification["fp32"]["lengths"]
    assert manifest.verification["int8"]["cosine_mean"] >= 0.995
    assert (manifest.settings.query_length, manifest.settings.document_length) == (QUERY, POSITIONS)
    model = models.ColBERT(out, precision="int8")
    assert len(model.encode(["a word"], is_query=True)[0]) == (QUERY if expansion == "on" else 5)
    assert is_cut_at_the_last_position(model)


def is_cut_at_the_last_position(model: ColBERT) -> bool:
    """Text after the 2,048th token does not change the vectors; text before it does."""
    text = re.sub(r"\W+", " ", " ".join(CORPUS.values()))
    text = " ".join([text] * 4)
    [whole] = model.encode([text], is_query=False)
    [longer] = model.encode([text + " and more words"], is_query=False)
    [shorter] = model.encode([text[:500]], is_query=False)
    return len(whole) == POSITIONS and bool((whole == longer).all()) and len(shorter) < POSITIONS
