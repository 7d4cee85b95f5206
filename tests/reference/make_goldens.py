"""Make the golden vectors with the reference implementations.

    python tests/reference/make_goldens.py            # all cases that the installed libraries can make
    python tests/reference/make_goldens.py bert-fp16  # some
    python tests/reference/make_goldens.py --check    # compare with what is stored, e.g. under another transformers

PyLate 1.6 makes the cases in PyLate's and Stanford's layouts, Sentence Transformers 6 those in its own. The two cannot
be installed together: run this once in each environment.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from reference import checkpoints, golden
from reference.texts import TEXTS

POOLED = ((2, 1), (3, 1), (2, 0), (3, 0), (1000, 1))
"""(pool_factor, protected_tokens)."""
POOLED_TEXTS = ("empty", "english", "numbers", "700 words")
SCORED = ("bert-pylate",)
"""Cases for which scores and reranking are stored too."""
EAGER = ("modernbert-expansion",)
"""Cases whose queries are stored a second time, computed with transformers' eager attention (`eager_query_*`)."""
PAIRED = ("lfm2-expansion",)
"""Cases whose queries are encoded two by two: alone, this reference lets their convolutions see unattended tokens."""
TOLERANCE = 1e-5
"""How far a batch may be from its texts encoded alone."""

Floats = NDArray[np.float32]


class Reference(Protocol):
    """A checkpoint, loaded by the implementation that is the authority on it."""

    def feed(self, text: str, *, is_query: bool) -> dict[str, NDArray[Any]]:
        """What the encoder is fed for one text: `input_ids`, `attention_mask`, each (positions,), and more."""

    def encode(self, texts: list[str], *, is_query: bool) -> list[Floats]:
        """One (tokens, dim) per text."""

    def pool(self, text: str, *, pool_factor: int, protected_tokens: int) -> Floats:
        """A document's vectors after pooling, (clusters, dim)."""

    def extras(self, texts: list[str]) -> dict[str, list[Floats]]:
        """Further encodings of queries that a case calls for."""

    def settings(self) -> dict[str, Any]:
        """The settings as resolved."""


class PyLate:
    """`pylate.models.ColBERT`."""

    def __init__(self, case: checkpoints.Case, folder: Path) -> None:
        import torch
        from pylate import models

        def load(**model_kwargs: Any) -> Any:
            # transformers 5 would compute in the precision that the weights were saved in.
            return models.ColBERT(str(folder), device="cpu", model_kwargs={"dtype": torch.float32, **model_kwargs})

        self._case, self._load, self._model = case, load, load()

    def feed(self, text: str, *, is_query: bool) -> dict[str, NDArray[Any]]:
        prompt = self._model.prompts.get(self._model.default_prompt_name) or ""
        features = self._model.tokenize([prompt + text], is_query=is_query)
        return {name: value[0].numpy() for name, value in features.items()}

    def encode(self, texts: list[str], *, is_query: bool) -> list[Floats]:
        vectors: list[Floats] = self._model.encode(texts, is_query=is_query)
        return vectors

    def pool(self, text: str, *, pool_factor: int, protected_tokens: int) -> Floats:
        options = {"pool_factor": pool_factor, "protected_tokens": protected_tokens}
        vectors: Floats = self._model.encode([text], is_query=False, **options)[0]
        return vectors

    def extras(self, texts: list[str]) -> dict[str, list[Floats]]:
        found = {
            f"prompt_{name}": [self._model.encode([text], prompt_name=name, is_query=True)[0] for text in texts]
            for name in self._case.settings.get("prompts", ())
        }
        if self._case.name in EAGER:
            eager = self._load(attn_implementation="eager")
            found["eager_query"] = [eager.encode([text], is_query=True)[0] for text in texts]
        return found

    def settings(self) -> dict[str, Any]:
        names = (
            "query_prefix",
            "document_prefix",
            "query_prefix_id",
            "document_prefix_id",
            "query_length",
            "document_length",
            "do_query_expansion",
            "attend_to_expansion_tokens",
            "skiplist_words",
            "prompts",
            "default_prompt_name",
        )
        return {
            **{name: getattr(self._model, name) for name in names},
            "skiplist_ids": self._model.skiplist,
            "do_lower_case": self._model[0].do_lower_case,
            "padding_id": self._model.tokenizer.pad_token_id,
            "unknown_id": self._model.tokenizer.unk_token_id,
        }


class SentenceTransformers:
    """`sentence_transformers.MultiVectorEncoder`, which knows queries and documents by `encode_query/document`."""

    def __init__(self, case: checkpoints.Case, folder: Path) -> None:
        import torch
        from sentence_transformers import MultiVectorEncoder

        self._model: Any = MultiVectorEncoder(str(folder), device="cpu", model_kwargs={"dtype": torch.float32})

    def feed(self, text: str, *, is_query: bool) -> dict[str, NDArray[Any]]:
        task = "query" if is_query else "document"
        features = self._model.preprocess([text], prompt=self._model.prompts[task], task=task)
        return {name: value[0].numpy() for name, value in features.items() if hasattr(value, "numpy")}

    def encode(self, texts: list[str], *, is_query: bool) -> list[Floats]:
        encode = self._model.encode_query if is_query else self._model.encode_document
        vectors: list[Floats] = encode(texts, convert_to_numpy=True)
        return vectors

    def pool(self, text: str, *, pool_factor: int, protected_tokens: int) -> Floats:
        from sentence_transformers.multi_vector_encoder.modules import HierarchicalTokenPooling

        # Not normalised again, as PyLate has it; this library's own default is to normalise.
        pooling = HierarchicalTokenPooling(
            pool_factor, num_protected_tokens=protected_tokens, normalize_embeddings=False
        )
        vectors: Floats = self._model.encode_document([text], convert_to_numpy=True, token_pooling=pooling)[0]
        return vectors

    def extras(self, texts: list[str]) -> dict[str, list[Floats]]:
        return {}

    def settings(self) -> dict[str, Any]:
        transformer, mask = self._model[0], self._model[-2]
        skiplist = [] if mask._skiplist_ids is None else mask._skiplist_ids.tolist()
        return {
            "query_length": transformer.query_length,
            "document_length": transformer.document_length,
            "max_seq_length": transformer.max_seq_length,
            "query_expansion": transformer.query_expansion,
            "skiplist_words": mask.skiplist_words,
            "skiplist_tasks": mask.skiplist_tasks,
            "skiplist_ids": skiplist,
            "prompts": self._model.prompts,
            "default_prompt_name": self._model.default_prompt_name,
            "do_lower_case": transformer.do_lower_case,
            "padding_id": self._model.tokenizer.pad_token_id,
            "unknown_id": self._model.tokenizer.unk_token_id,
        }


LIBRARIES: dict[checkpoints.Layout, tuple[str, str, Callable[[checkpoints.Case, Path], Reference]]] = {
    "pylate": ("pylate", "1.6.", PyLate),
    "stanford": ("pylate", "1.6.", PyLate),
    "sentence-transformers-6": ("sentence-transformers", "6.", SentenceTransformers),
}
"""Layout -> (distribution, version, class)."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", help="names of cases; all if none")
    parser.add_argument("--check", action="store_true", help="compare with the stored goldens and write nothing")
    arguments = parser.parse_args()
    failed = False
    for case in checkpoints.CASES:
        if arguments.cases and case.name not in arguments.cases:
            continue
        distribution, release, reference = LIBRARIES[case.layout]
        if not (_version(distribution) or "").startswith(release):
            print(f"{case.name}: left out, needs {distribution} {release}x")
            continue
        try:
            with tempfile.TemporaryDirectory() as folder:
                checkpoints.write(case, Path(folder))
                arrays = make(case, reference(case, Path(folder)), checkpoints.fingerprint(Path(folder)))
        except (ValueError, TypeError) as error:  # what an unsuitable version of transformers raises
            print(f"{case.name}: {error}")
            failed = True
            continue
        if arguments.check:
            failed |= not _compare(case.name, arrays)
        else:
            golden.FOLDER.mkdir(exist_ok=True)
            path = golden.FOLDER / f"{case.name}.npz"
            np.savez_compressed(path, allow_pickle=False, **arrays)
            print(f"{case.name}: {path.stat().st_size:,} bytes")
    sys.exit(failed)


def make(case: checkpoints.Case, reference: Reference, fingerprint: str) -> dict[str, NDArray[Any]]:
    """Encode a case's texts with the reference.

    Returns:
        The arrays of the golden file; `golden.load` describes them.

    Raises:
        AssertionError: Encoding in one batch gave other vectors than encoding each text alone.
    """
    import torch

    torch.set_num_threads(1)
    texts = [TEXTS[name] for name in case.texts]
    arrays: dict[str, NDArray[Any]] = {}
    vectors: dict[str, list[Floats]] = {}
    type_ids = False
    for side, is_query in (("query", True), ("document", False)):
        fed = [reference.feed(text, is_query=is_query) for text in texts]
        arrays[f"{side}_ids"] = np.concatenate([one["input_ids"] for one in fed]).astype(np.int32)
        arrays[f"{side}_attention"] = np.concatenate([one["attention_mask"] for one in fed]).astype(np.uint8)
        arrays[f"{side}_positions"] = np.array([len(one["input_ids"]) for one in fed], np.int32)
        type_ids |= "token_type_ids" in fed[0]
        copies = 2 if is_query and case.name in PAIRED else 1
        vectors[side] = [reference.encode([text] * copies, is_query=is_query)[0] for text in texts]
        together = reference.encode(texts, is_query=is_query)
        for name, alone, batched in zip(case.texts, vectors[side], together, strict=True):
            distance = np.abs(alone - batched).max()
            assert distance <= TOLERANCE, f"{case.name}, {side} {name!r}: {distance:.1e} from its batch"
        arrays |= _ragged(side, vectors[side])
    # Where a tokenizer puts nothing around a text, the reference fails on an empty one.
    pooled_texts = [name for name in POOLED_TEXTS if name != "empty" or case.tokenizer != "qwen3"]
    for factor, protected in POOLED:
        options = {"pool_factor": factor, "protected_tokens": protected}
        pooled = [reference.pool(TEXTS[name], **options) for name in pooled_texts]
        arrays |= _ragged(f"pooled_{factor}_{protected}", pooled)
    for name, extra in reference.extras(texts).items():
        arrays |= _ragged(name, extra)
    if case.name in SCORED:
        arrays |= _scores(vectors["query"], vectors["document"])
    libraries = ("pylate", "sentence-transformers", "transformers", "tokenizers", "torch")
    settings = {
        **reference.settings(),
        "token_type_ids": type_ids,
        "dim": vectors["query"][0].shape[1],
        "texts": list(case.texts),
        "texts_sha256": checkpoints.texts_fingerprint(case),
        "checkpoint_sha256": fingerprint,
        "pooled": POOLED,
        "pooled_texts": pooled_texts,
        "made_with": {name: _version(name) for name in libraries if _version(name)},
    }
    arrays["settings"] = np.array(json.dumps(settings, ensure_ascii=False))
    return arrays


def _ragged(name: str, pieces: Sequence[Floats]) -> dict[str, NDArray[Any]]:
    """`name_vectors` (all tokens, dim) and `name_tokens` (texts,)."""
    lengths = np.array([len(piece) for piece in pieces], np.int32)
    return {f"{name}_vectors": np.concatenate(pieces).astype(np.float32), f"{name}_tokens": lengths}


def _scores(queries: list[Floats], documents: list[Floats]) -> dict[str, NDArray[Any]]:
    """MaxSim of every pair, unpadded, and what `rank.rerank` answers, whose padding takes part in the maximum.

    `negated_*` is the same for the queries times -1: there many maxima are negative, and the padding shows.
    """
    from pylate import rank
    from pylate.scores import colbert_scores

    arrays: dict[str, NDArray[Any]] = {}
    for prefix, sign in (("", 1), ("negated_", -1)):
        signed = [np.float32(sign) * query for query in queries]
        scores = [[float(colbert_scores(q[None], d[None])[0, 0]) for d in documents] for q in signed]
        answers = rank.rerank(
            documents_ids=[list(range(len(documents)))] * len(signed),
            queries_embeddings=signed,
            documents_embeddings=[documents] * len(signed),
        )
        arrays[f"{prefix}scores"] = np.array(scores, np.float32)
        arrays[f"{prefix}rerank_ids"] = np.array([[hit["id"] for hit in hits] for hits in answers], np.int32)
        arrays[f"{prefix}rerank_scores"] = np.array([[hit["score"] for hit in hits] for hits in answers], np.float32)
    return arrays


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _compare(name: str, arrays: dict[str, NDArray[Any]]) -> bool:
    """Print how far fresh arrays are from the stored ones; True if within tolerance."""
    stored = golden.load(name)
    worst = ("", 0.0)
    for key, expected in stored.arrays.items():
        actual = arrays[key]
        if actual.shape != expected.shape:
            print(f"{name}: {key} has shape {actual.shape}, stored {expected.shape}")
            return False
        distance = float(np.abs(actual.astype(np.float64) - expected).max(initial=0.0))
        worst = max(worst, (key, distance), key=lambda found: found[1])
    fresh = json.loads(str(arrays["settings"]))
    moved = [key for key in fresh if key != "made_with" and fresh[key] != stored.settings[key]]
    print(f"{name}: largest distance {worst[1]:.1e} {worst[0]}{f'; settings differ: {moved}' if moved else ''}")
    return worst[1] <= TOLERANCE and not moved


if __name__ == "__main__":
    main()
