"""Stage *teacher*: multilingual-e5-small's token vectors of every text, and how the student's tokens map to them.

The teacher keeps its whole vocabulary and its prompts. Its vectors are shifted by most of their mean, turned to
their principal axes, cut to ``DIM`` and normalised: cosines of e5's token vectors lie between .7 and 1, those of the
shifted ones use the whole range. The student has a smaller vocabulary, so its tokens are matched by their place in
the text: each takes the teacher's token that covers most of it.

The stage can be killed at any time; it goes on after the last shard that is on disk.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import Encoding, Tokenizer
from transformers import AutoModel

from recipe.encoder import PREFIXES
from recipe.examples import read_texts
from recipe.projection import MEAN, fit_projection, rarity

logger = logging.getLogger(__name__)

DIM = 256
STUDENT_DIM = 128
LONGEST_DOCUMENT = 256
LONGEST_QUERY = 48
"""Student's tokens of a text, special tokens included."""
PROMPTS = {"document": "passage: ", "query": "query: "}
SAMPLE = 3_000
"""Texts that axes and mean are fitted on."""
SHARD = 4_000
TOKENS_PER_BATCH = 6_000

Vectors = NDArray[np.float32]
Ids = NDArray[np.int32]


@dataclass(frozen=True)
class Ragged:
    """Rows of different length in one flat array."""

    flat: NDArray[np.generic]
    starts: NDArray[np.int64]

    def row(self, number: int) -> NDArray[np.generic]:
        return self.flat[self.starts[number] : self.starts[number + 1]]

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.diff(self.starts)

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]], dtype: type) -> Ragged:
        starts = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
        return cls(np.fromiter((value for row in rows for value in row), dtype, starts[-1]), starts)

    @classmethod
    def load(cls, folder: Path, name: str) -> Ragged:
        return cls(np.load(folder / f"{name}.npy"), np.load(folder / f"{name}_starts.npy"))

    def save(self, folder: Path, name: str) -> None:
        np.save(folder / f"{name}.npy", self.flat)
        np.save(folder / f"{name}_starts.npy", self.starts)


def covering(student: Sequence[tuple[int, int]], teacher: Sequence[tuple[int, int]]) -> list[int]:
    """For each student token the teacher token that covers most of its characters; both are ordered ``(start, end)``.

    A token without characters takes the teacher token at its place.
    """
    found = []
    at = 0
    for start, end in student:
        while at + 1 < len(teacher) and teacher[at][1] <= start:
            at += 1
        best, most = at, -1
        ahead = at
        while ahead < len(teacher) and (teacher[ahead][0] < end or ahead == at):
            shared = min(end, teacher[ahead][1]) - max(start, teacher[ahead][0])
            if shared > most:
                best, most = ahead, shared
            ahead += 1
        found.append(best)
    return found


def inner(encoding: Encoding) -> tuple[list[int], list[tuple[int, int]]]:
    """Ids and character ranges without the special tokens at both ends."""
    return encoding.ids[1:-1], encoding.offsets[1:-1]


class Teacher:
    """The encoder with its own vocabulary."""

    def __init__(self, folder: Path) -> None:
        self.model = AutoModel.from_pretrained(folder, add_pooling_layer=False).eval().to(torch.bfloat16)
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        marked = self.tokenizer.encode("")
        self.first, self.last = marked.ids[0], marked.ids[-1]
        self.prompts = {
            role: self.tokenizer.encode(prompt.strip(), add_special_tokens=False).ids
            for role, prompt in PROMPTS.items()
        }

    def ids(self, role: str, pieces: Sequence[int]) -> list[int]:
        return [self.first, *self.prompts[role], *pieces, self.last]

    @torch.inference_mode()
    def encode(self, rows: Sequence[Sequence[int]]) -> list[Vectors]:
        """Normalised last hidden states ``(tokens, hidden)`` of each row of ids."""
        found: list[Vectors] = [np.empty(0, np.float32)] * len(rows)
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        while order:
            longest = len(rows[order[-1]])
            chosen = [order.pop() for _ in range(min(len(order), max(1, TOKENS_PER_BATCH // longest)))]
            ids = torch.zeros(len(chosen), longest, dtype=torch.long)
            mask = torch.zeros(len(chosen), longest, dtype=torch.long)
            for at, number in enumerate(chosen):
                ids[at, : len(rows[number])] = torch.tensor(rows[number])
                mask[at, : len(rows[number])] = 1
            hidden = self.model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
            vectors = torch.nn.functional.normalize(hidden, dim=-1).numpy()
            for at, number in enumerate(chosen):
                found[number] = vectors[at, : len(rows[number])]
        return found


@dataclass(frozen=True)
class Axes:
    """The space that teacher vectors are kept in: ``normalise((v - shift) @ turn.T)``."""

    shift: Vectors
    turn: Vectors

    def __call__(self, vectors: Vectors) -> Vectors:
        kept = (vectors - self.shift) @ self.turn.T
        return kept / np.linalg.norm(kept, axis=1, keepdims=True)


def fit_axes(vectors: Vectors) -> Axes:
    """Mean and principal axes (of the second moment, so that inner products survive the cut)."""
    shift = (MEAN * vectors.mean(axis=0)).astype(np.float32)
    centred = (vectors - shift).astype(np.float64)
    _, axes = np.linalg.eigh(centred.T @ centred)
    return Axes(shift, np.ascontiguousarray(axes[:, ::-1][:, :DIM].T, dtype=np.float32))


def match(student: Tokenizer, teacher: Teacher, texts: Sequence[str], queries: NDArray[np.bool_]) -> dict[str, Ragged]:
    """Student ids, their teacher tokens, and teacher ids of every text; both cut where the student cuts."""
    roles = {False: "document", True: "query"}
    prefixes = {role: student.token_to_id(token) for role, token in zip(("query", "document"), PREFIXES, strict=True)}
    ends = student.encode("").ids
    student_rows, matched, teacher_rows = [], [], []
    for start in range(0, len(texts), 10_000):
        part = list(texts[start : start + 10_000])
        pairs = zip(student.encode_batch(part), teacher.tokenizer.encode_batch(part), strict=True)
        for number, (small, large) in enumerate(pairs, start):
            role = roles[bool(queries[number])]
            room = (LONGEST_QUERY if queries[number] else LONGEST_DOCUMENT) - 3
            (ids, places), (pieces, ranges) = inner(small), inner(large)
            ids, places = ids[:room], places[:room]
            end = places[-1][1] if places else 0
            count = sum(first < end for first, _ in ranges)
            pieces, ranges = pieces[:count], ranges[:count]
            row = teacher.ids(role, pieces)
            offset = 1 + len(teacher.prompts[role])
            covered = covering(places, ranges) if pieces else [0] * len(ids)
            student_rows.append([ends[0], prefixes[role], *ids, ends[-1]])
            matched.append([0, 1, *(offset + at for at in covered), len(row) - 1])
            teacher_rows.append(row)
    return {
        "student": Ragged.of(student_rows, np.int32),
        "match": Ragged.of(matched, np.int16),
        "teacher": Ragged.of(teacher_rows, np.int32),
    }


def cache_teacher(source: Path, encoder: Path, examples: Path, folder: Path) -> None:
    """Write ids, matches, axes and the teacher's vectors to ``folder``.

    ``vectors.npy`` is ``(teacher tokens, DIM)`` float16; ``axes.safetensors`` holds the space and the student's first
    projection ``(STUDENT_DIM, DIM)`` with its bias.
    """
    teacher = Teacher(source)
    texts, queries = read_texts(examples)
    student = Tokenizer.from_file(str(encoder / "tokenizer.json"))
    ragged = match(student, teacher, texts, queries)
    for name, rows in ragged.items():
        rows.save(folder, name)
    ids = ragged["teacher"]
    logger.info("teacher: %d tokens of %d texts", len(ids.flat), len(texts))
    axes = load_or_fit_axes(teacher, ids, folder)
    fill(teacher, axes, ids, folder)


def load_or_fit_axes(teacher: Teacher, ids: Ragged, folder: Path) -> Axes:
    path = folder / "axes.npz"
    if not path.exists():
        sample = np.random.default_rng(0).choice(len(ids.lengths), min(SAMPLE, len(ids.lengths)), replace=False)
        hidden = np.concatenate(teacher.encode([ids.row(number).tolist() for number in sample]))
        axes = fit_axes(hidden)
        kept = axes(hidden)
        pieces = np.concatenate([ids.row(number) for number in sample])
        weight, bias = fit_projection(kept, rarity(pieces), STUDENT_DIM)
        save_file({"weight": weight, "bias": bias, "shift": axes.shift, "turn": axes.turn}, folder / "axes.safetensors")
        aside = folder / "axes.part.npz"
        np.savez(aside, shift=axes.shift, turn=axes.turn)
        aside.rename(path)
    with np.load(path) as saved:
        return Axes(saved["shift"], saved["turn"])


def fill(teacher: Teacher, axes: Axes, ids: Ragged, folder: Path) -> None:
    """Encode shard by shard into one memory-mapped array; ``progress.json`` counts what is on disk."""
    path, progress = folder / "vectors.npy", folder / "progress.json"
    done = json.loads(progress.read_text())["texts"] if progress.exists() else 0
    shape = (int(ids.starts[-1]), DIM)
    vectors = np.lib.format.open_memmap(path, "r+" if done else "w+", np.float16, None if done else shape)
    started, first = time.monotonic(), int(ids.starts[done])
    while done < len(ids.lengths):
        stop = min(done + SHARD, len(ids.lengths))
        hidden = teacher.encode([ids.row(number).tolist() for number in range(done, stop)])
        vectors[ids.starts[done] : ids.starts[stop]] = axes(np.concatenate(hidden))
        vectors.flush()
        done = stop
        aside = progress.with_suffix(".part")
        aside.write_text(json.dumps({"texts": done}))
        aside.rename(progress)
        speed = (ids.starts[done] - first) / (time.monotonic() - started)
        logger.info("teacher: %d of %d texts, %.0f tokens a second", done, len(ids.lengths), speed)
