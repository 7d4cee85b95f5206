"""Encodes texts with PyLate or Sentence Transformers 6; run by an interpreter that need not have latelite.

python library_worker.py JOB.json VECTORS.npz
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np


def main(job: dict[str, Any], answer: Path) -> None:
    """Encode the job's texts in fp32 on the CPU."""
    import torch

    torch.set_num_threads(1)
    settings = job["settings"]
    options = {
        "device": "cpu",
        "trust_remote_code": job["trust_remote_code"],
        "model_kwargs": {"dtype": torch.float32},
    }
    if job["layout"] == "sentence-transformers":
        from sentence_transformers import MultiVectorEncoder

        made: Any = MultiVectorEncoder(job["checkpoint"], **options)
        vectors = [
            (made.encode_query if is_query else made.encode_document)([text], convert_to_numpy=True)[0]
            for text, is_query in job["texts"]
        ]
        library = "sentence-transformers"
    else:
        from pylate import models

        names = ["query_prefix", "document_prefix", "query_length", "document_length", "skiplist_words"]
        names += ["do_query_expansion", "attend_to_expansion_tokens"]
        model: Any = models.ColBERT(job["checkpoint"], **{name: settings[name] for name in names}, **options)
        # In pairs: some versions of transformers do not mask a single text in LFM2's convolutions.
        vectors = [
            model.encode(
                [text] * (2 if is_query else 1),
                is_query=is_query,
                prompt_name=_prompt(settings, is_query),
                show_progress_bar=False,
            )[0]
            for text, is_query in job["texts"]
        ]
        library = "pylate"
    versions = f"{library} {version(library)}, transformers {version('transformers')}, torch {version('torch')}"
    np.savez(
        answer,
        vectors=np.concatenate(vectors).astype(np.float32),
        tokens=np.array([len(v) for v in vectors]),
        versions=np.array(versions),
    )


def _prompt(settings: dict[str, Any], is_query: bool) -> str | None:
    names = ("query",) if is_query else ("document", "passage", "corpus")
    return next((name for name in names if name in settings["prompts"]), None)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))
