"""DeBERTa's ``spm.model`` as parts of a ``tokenizer.json`` that tokenizes as SentencePiece does.

transformers' own conversion depends on its version: 4.57 keeps the normalisation, 5.x uses Unicode's NFC instead, and
5.3 loses the special tokens around a text.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
from pathlib import Path
from typing import Any

from tokenizers import Regex, normalizers, pre_tokenizers, processors

from latelite.errors import MissingExtraError

_NEEDED = ("sentencepiece", "google.protobuf")


def check_installed(folder: Path, name: str) -> None:
    """Check that SentencePiece files can be read.

    Raises:
        MissingExtraError: the libraries for it are not installed.
    """
    try:
        missing = [package for package in _NEEDED if importlib.util.find_spec(package) is None]
    except ModuleNotFoundError:  # no package named google
        missing = ["protobuf"]
    if missing:
        raise MissingExtraError(
            f"{folder} has its vocabulary as {name} only: pip install sentencepiece protobuf, or load it once with "
            "transformers' AutoTokenizer where these are installed and save it, which writes tokenizer.json."
        )


def pipeline(path: Path, first: tuple[str, int], last: tuple[str, int]) -> dict[str, Any]:
    """``normalizer``, ``pre_tokenizer`` and ``post_processor`` for the vocabulary in ``path``.

    Args:
        path: ``spm.model``.
        first: the token before a text, and its id.
        last: the token after a text, and its id.
    """
    content = importlib.import_module("sentencepiece.sentencepiece_model_pb2").ModelProto()
    content.ParseFromString(path.read_bytes())
    table = content.normalizer_spec.precompiled_charsmap
    steps = [
        normalizers.Strip(),
        *([normalizers.Precompiled(table)] if table else []),
        normalizers.Replace(Regex(" {2,}"), " "),
    ]
    frame = processors.TemplateProcessing(
        single=f"{first[0]}:0 $A:0 {last[0]}:0",
        pair=f"{first[0]}:0 $A:0 {last[0]}:0 $B:1 {last[0]}:1",
        special_tokens=[first, last],
    )
    parts = {
        "normalizer": normalizers.Sequence(steps),
        "pre_tokenizer": pre_tokenizers.Sequence([pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")]),
        "post_processor": frame,
    }
    return {name: json.loads(part.__getstate__()) for name, part in parts.items()}
