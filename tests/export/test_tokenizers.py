"""A bundle tokenizes as the checkpoint's files say, regardless of the installed transformers."""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from transformers import __version__ as transformers

from latelite.errors import MissingExtraError
from latelite.manifest import TOKENIZER_NAME
from latelite_export import configuration, export, layouts, tokenizer
from latelite_export.checkpoint import Overrides
from latelite_export.cli import main
from latelite_export.tokenizer import CheckpointTokenizer
from reference.texts import TEXTS

Copy = Callable[[str], Path]
NEWER = int(transformers.partition(".")[0]) >= 5


def load(folder: Path) -> CheckpointTokenizer:
    resolved = layouts.read(folder, folder.name, None, Overrides())
    return tokenizer.load(resolved, configuration.read(resolved.backbone).parsed)


def normalise(folder: Path, normalizer: dict[str, Any]) -> None:
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"normalizer": normalizer}))


def test_a_normaliser_that_transformers_5_drops_is_kept_and_the_difference_is_said(copy: Copy) -> None:
    folder = copy("deberta-v2")
    normalise(folder, {"type": "NFKC"})
    loaded = load(folder)
    written = Tokenizer.from_file(str(folder / "tokenizer.json"))
    written.no_truncation()
    written.no_padding()
    text = "\ufb01ne \u2460 \uff26\uff35\uff2c\uff2c"  # a ligature, a circled digit, full-width letters
    assert Tokenizer.from_str(loaded.json).encode(text).tokens == written.encode("fine 1 FULL").tokens
    assert bool(loaded.notes) == NEWER
    assert all("the bundle follows the files" in note for note in loaded.notes)


@pytest.mark.parametrize("name", ["xlm-roberta", "albert", "camembert", "deberta-v2", "modernbert", "roberta-attend"])
def test_ids_are_those_of_the_file(name: str, checkpoint: Callable[[str], Path]) -> None:
    loaded = load(checkpoint(name))
    written = Tokenizer.from_file(str(checkpoint(name) / "tokenizer.json"))
    written.no_truncation()
    written.no_padding()
    ours = Tokenizer.from_str(loaded.json)
    for text in TEXTS.values():
        assert ours.encode(text).ids == written.encode(text).ids
    assert loaded.notes == ()


def test_spm_model_is_cut_as_sentencepiece_cuts(checkpoint: Callable[[str], Path]) -> None:
    if importlib.util.find_spec("sentencepiece") is None:
        raise MissingExtraError("pip install sentencepiece: the library to compare with")
    sentencepiece = importlib.import_module("sentencepiece")
    folder = checkpoint("deberta-v3")
    assert not (folder / "tokenizer.json").exists()
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spm.model"))
    ours = Tokenizer.from_str(load(folder).json)
    first, last = ours.token_to_id("[CLS]"), ours.token_to_id("[SEP]")
    # Markers and special tokens are nothing but letters to SentencePiece; in the others two ways of cutting are equally
    # likely.
    left_out = {"markers", "special tokens", "long word", "700 words"}
    for text in (" ".join(TEXTS[name].split()) for name in TEXTS.keys() - left_out):
        assert ours.encode(text).ids == [first, *theirs.encode(text), last]


def test_a_vocabulary_that_cannot_be_read_here_says_what_to_install(
    copy: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "sentencepiece" else find(name))
    with pytest.raises(MissingExtraError, match=r"as spm\.model only: pip install sentencepiece protobuf, or load it"):
        export(copy("deberta-v3"), tmp_path / "out", scheme="fp32")


@pytest.mark.parametrize("name", ["sentencepiece.bpe.model", "spiece.model", "spm.model", "tokenizer.model"])
def test_a_damaged_vocabulary_names_the_cure(
    name: str, copy: Copy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """transformers 5 makes an empty tokenizer if the file has not the name that its class expects."""
    folder = copy("xlm-roberta")
    (folder / "tokenizer.json").unlink()
    (folder / name).write_bytes(b"no such thing")
    assert main([str(folder), "-o", str(tmp_path / "out"), "--scheme", "fp32"]) == 1
    sentences = [line for line in capsys.readouterr().err.splitlines() if line.startswith("latelite-export: ")]
    assert len(sentences) == 1
    assert (
        f"only vocabulary is {name}" in sentences[0]
        or f"{name} only" in sentences[0]
        or "its vocabulary was not read" in sentences[0]
    )
    assert "tokenizer.json" in sentences[0]
    assert not (tmp_path / "out").exists()


def test_vocab_txt_alone_is_enough(copy: Copy) -> None:
    """As in old checkpoints, from before fast tokenizers."""
    folder = copy("stanford")
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in sorted(vocabulary, key=vocabulary.__getitem__)))
    expected = load(folder)
    for name in ("tokenizer.json", "special_tokens_map.json"):
        (folder / name).unlink()
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": true, "tokenizer_class": "BertTokenizer"}')
    loaded = load(folder)
    assert loaded.ids == expected.ids
    for text in TEXTS.values():
        assert loaded.reference.encode(text) == expected.reference.encode(text)


def test_code_in_the_tokenizers_configuration_is_not_run(copy: Copy, tmp_path: Path) -> None:
    folder, marker = copy("bert-pylate"), tmp_path / "this-code-ran"
    (folder / "mine.py").write_text(f"import pathlib\npathlib.Path({str(marker)!r}).touch()\n")
    path = folder / "tokenizer_config.json"
    code = {"auto_map": {"AutoTokenizer": ["mine.Slow", "mine.Fast"]}, "tokenizer_class": "Mine"}
    path.write_text(json.dumps(json.loads(path.read_text()) | code))
    with pytest.raises(PermissionError, match="tokenizer code"):
        export(folder, tmp_path / "out", scheme="fp32")
    assert not marker.exists()


def test_the_bundles_file_is_that_tokenizer(fp32_bundle: Callable[[str], Path]) -> None:
    written = Tokenizer.from_file(str(fp32_bundle("deberta-v3") / TOKENIZER_NAME))
    assert written.encode("light").tokens[0] == "[CLS]"
    assert written.truncation is None
    assert written.padding is None
