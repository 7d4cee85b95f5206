"""The encoders that can be exported: an allow-list, since transformers knows hundreds and some of them run code."""

from __future__ import annotations

import re
from dataclasses import dataclass

STANFORD = "HF_ColBERT"
"""Class name in the configuration of Stanford's checkpoints, whose encoder is what ``model_type`` says."""


@dataclass(frozen=True)
class Architecture:
    """One ``model_type`` of transformers."""

    classes: str
    """What its class names start with: ``Bert`` for ``BertModel`` and ``BertForMaskedLM``."""
    prefix: str
    """What its tensors' names start with when it was saved inside a larger model."""
    decoder: bool = False
    """A causal model: a token sees the tokens before it and itself."""

    def saves_as(self, name: str) -> bool:
        """Whether ``name``, from a configuration's ``architectures``, is one of its classes, whatever the head."""
        return name == STANFORD or re.fullmatch(f"{self.classes}(Model|PreTrainedModel|For[A-Za-z]+)", name) is not None


ARCHITECTURES = {
    "albert": Architecture("Albert", "albert."),
    "bert": Architecture("Bert", "bert."),
    "camembert": Architecture("Camembert", "roberta."),
    "deberta": Architecture("Deberta", "deberta."),
    "deberta-v2": Architecture("DebertaV2", "deberta."),
    "distilbert": Architecture("DistilBert", "distilbert."),
    "electra": Architecture("Electra", "electra."),
    "lfm2": Architecture("Lfm2", "model.", decoder=True),
    "modernbert": Architecture("ModernBert", "model."),
    "mpnet": Architecture("MPNet", "mpnet."),
    "qwen3": Architecture("Qwen3", "model.", decoder=True),
    "roberta": Architecture("Roberta", "roberta."),
    "roformer": Architecture("RoFormer", "roformer."),
    "xlm-roberta": Architecture("XLMRoberta", "roberta."),
    "xlm-roberta-xl": Architecture("XLMRobertaXL", "roberta."),
}
"""``model_type`` -> what is known about it. Each has golden vectors in the test suite."""

_UNUSED = re.compile(
    r"(pooler|cls|lm_head|head|classifier|decoder|predictions|discriminator_predictions|generator_predictions"
    r"|generator_lm_head|lm_predictions|mask_predictions|sop_classifier|qa_outputs|pre_classifier|score"
    r"|vocab_transform|vocab_layer_norm|vocab_projector)\..*"
    r"|(.*\.)?(position_ids|token_type_ids|inv_freq|embed_positions\.weight)"
)


def is_unused(name: str) -> bool:
    """Whether a tensor, named as in the encoder itself, belongs to a head, or to a table that is computed anyway."""
    return _UNUSED.fullmatch(name) is not None
