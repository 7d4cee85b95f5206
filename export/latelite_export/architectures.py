"""The encoders that can be exported: an allow-list, since transformers knows hundreds, some of which run code."""

from __future__ import annotations

import re
from dataclasses import dataclass

STANFORD = "HF_ColBERT"
"""Class name in the configuration of Stanford's checkpoints; ``model_type`` names the encoder."""


@dataclass(frozen=True)
class Architecture:
    """One ``model_type`` of transformers."""

    classes: str
    """Prefix of its class names: ``Bert`` for ``BertModel`` and ``BertForMaskedLM``."""
    prefix: str
    """Prefix of its tensor names when it was saved inside a larger model."""
    decoder: bool = False
    """Whether attention is causal: a token attends to itself and to the tokens before it."""

    def saves_as(self, name: str) -> bool:
        """Whether ``name``, from a configuration's ``architectures``, is one of its classes, with any head."""
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
"""By ``model_type``. Each has golden vectors in the test suite."""

_UNUSED = re.compile(
    r"(pooler|cls|lm_head|head|classifier|decoder|predictions|discriminator_predictions|generator_predictions"
    r"|generator_lm_head|lm_predictions|mask_predictions|sop_classifier|qa_outputs|pre_classifier|score"
    r"|vocab_transform|vocab_layer_norm|vocab_projector)\..*"
    r"|(.*\.)?(position_ids|token_type_ids|inv_freq|embed_positions\.weight)"
)


def is_unused(name: str) -> bool:
    """Whether a tensor, named as in the bare encoder, belongs to a head or is a buffer that gets recomputed."""
    return _UNUSED.fullmatch(name) is not None
