"""The teacher: multilingual-e5-small with its whole vocabulary and its prompts, run while the student trains.

Its vectors are not cached: a batch is used once, and the cache would cost more disk space than the time is worth. The
teacher reads the same texts as the student, truncated at the same characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import AutoModel

PROMPTS = {"document": "passage:", "query": "query:"}
LONGEST = 512
"""Maximum tokens of a text."""

Padded = tuple[torch.Tensor, torch.Tensor]
"""Vectors ``(texts, tokens, dim)`` and the mask of real tokens ``(texts, tokens)``."""


class Teacher:
    """Encodes texts to normalised token vectors."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.device = device
        self.model = AutoModel.from_pretrained(folder, add_pooling_layer=False).eval().to(device)
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        marked = self.tokenizer.encode("")
        self.first, self.last = marked.ids[0], marked.ids[-1]
        self.prompts = {
            role: self.tokenizer.encode(prompt, add_special_tokens=False).ids for role, prompt in PROMPTS.items()
        }

    def ids(self, role: str, texts: Sequence[str]) -> tuple[list[list[int]], list[list[tuple[int, int]]]]:
        """Ids of each text with its prompt, and the character span of each id (empty for prompt and special tokens)."""
        prompt = [self.first, *self.prompts[role]]
        rows, places = [], []
        for encoded in self.tokenizer.encode_batch(list(texts), add_special_tokens=False):
            room = LONGEST - len(prompt) - 1
            rows.append([*prompt, *encoded.ids[:room], self.last])
            places.append([(0, 0)] * len(prompt) + encoded.offsets[:room] + [(0, 0)])
        return rows, places

    @torch.inference_mode()
    def encode(self, rows: Sequence[Sequence[int]]) -> Padded:
        """Normalised last hidden states of rows of ids, padded; float32."""
        lengths = torch.tensor([len(row) for row in rows])
        ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
        mask = (torch.arange(ids.shape[1]) < lengths[:, None]).to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            hidden = self.model(input_ids=ids.to(self.device), attention_mask=mask.long()).last_hidden_state
        return torch.nn.functional.normalize(hidden.float(), dim=-1), mask


def align_tokens(student: Sequence[tuple[int, int]], teacher: Sequence[tuple[int, int]]) -> list[int]:
    """For each student token, the teacher token that covers most of its characters; both are sorted ``(start, end)``.

    A token without characters gets the teacher token at its position.
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
