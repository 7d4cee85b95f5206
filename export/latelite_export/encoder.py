"""Encoder, projection and normalisation as one torch module: ids in, token vectors out."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from transformers import PreTrainedModel

from latelite_export import tensors, weights
from latelite_export.checkpoint import Checkpoint, DenseLayer
from latelite_export.configuration import Configuration
from latelite_export.errors import IncompleteCheckpointError, SettingError, UnsupportedCheckpointError
from latelite_export.local_attention import EmptyWindows
from latelite_export.short_convolutions import ShortConvolutions
from latelite_export.tokenizer import CheckpointTokenizer

EPSILON = 1e-12
"""Lower bound of the norm that vectors are divided by; torch's default, as in the reference."""


class Dense(nn.Module):
    """One layer of the projection.

    Args:
        layer: dimensions, activation and residual.
        tensors: ``weight``, and ``bias`` and ``residual`` if the layer has them, in fp32.
    """

    def __init__(self, layer: DenseLayer, tensors: Mapping[str, torch.Tensor]) -> None:
        super().__init__()
        self.layer = layer
        self.linear = nn.Linear(layer.in_features, layer.out_features, bias=layer.bias)
        self.activation = _activation(layer.activation)
        self.shortcut: nn.Module | None = None
        state = {"linear.weight": tensors["weight"]}
        if layer.bias:
            state["linear.bias"] = tensors["bias"]
        if layer.residual and "residual" in tensors:
            self.shortcut = nn.Linear(layer.in_features, layer.out_features, bias=False)
            state["shortcut.weight"] = tensors["residual"]
        elif layer.residual:
            self.shortcut = nn.Identity()
        self.load_state_dict(state)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """(texts, tokens, in_features) -> (texts, tokens, out_features)."""
        projected: torch.Tensor = self.activation(self.linear(hidden))
        return projected if self.shortcut is None else projected + self.shortcut(hidden)


class Encoder(nn.Module):
    """The module that is exported.

    Args:
        source: the backbone, called with keyword inputs; its first output is the last hidden state.
        head: the projection's layers in order.
        inputs: names of the graph's inputs, in the order of `forward`'s arguments.
        dim: number of leading dimensions to keep; None: all.
        empty_windows: for backbones with local attention, if a query token may have an empty window.
        convolutions: for backbones with short convolutions.
    """

    def __init__(
        self,
        source: weights.Backbone,
        head: list[Dense],
        inputs: tuple[str, ...],
        dim: int | None = None,
        empty_windows: EmptyWindows | None = None,
        convolutions: ShortConvolutions | None = None,
    ) -> None:
        super().__init__()
        self.backbone: PreTrainedModel = source.module
        self.source = source
        self.head = nn.Sequential(*head)
        self.inputs = inputs
        self.dim = dim
        self.empty_windows = empty_windows
        self.convolutions = convolutions
        self.max_positions = weights.max_positions(source.module)
        architecture = source.configuration.architecture
        self.causal = architecture is not None and architecture.decoder

    @property
    def architecture(self) -> str:
        """Class name of the backbone."""
        return type(self.backbone).__name__

    @property
    def configuration(self) -> Configuration:
        """Configuration of the backbone."""
        return self.source.configuration

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything that token vectors depend on: tensors under the checkpoint's names, and settings.

        Independent of library versions and of unused tensors.
        """
        dense: list[Dense] = list(self.head)  # type: ignore[arg-type]
        named = dict(self.source.tensors)
        for number, layer in enumerate(dense):
            named |= {f"head.{number}.{name}": tensor for name, tensor in layer.state_dict().items()}
        forms = [f"{layer.layer.activation.rpartition('.')[2]} {layer.layer.residual}" for layer in dense]
        return weights.fingerprint(named, [self.configuration.sha256, *forms])

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        """Token vectors (texts, tokens, dim) float32 of int64 ``inputs``, each (texts, tokens)."""
        arguments = dict(zip(self.inputs, tensors, strict=True))
        options = {"return_dict": False}
        if self.empty_windows is not None:
            self.empty_windows.measure(arguments["attention_mask"])
        if self.convolutions is not None:
            self.convolutions.measure(arguments["attention_mask"])
        if self.causal:
            # transformers builds this mask with torch's vmap, which cannot be traced; a ready-made one is used as is.
            arguments["attention_mask"] = causal_mask(arguments["attention_mask"])
            options["use_cache"] = False  # no generation
        hidden = self.backbone(**arguments, **options)[0]
        vectors = self.head(hidden)[..., : self.dim]
        return nn.functional.normalize(vectors, p=2.0, dim=-1, eps=EPSILON)


def causal_mask(attention_mask: torch.Tensor) -> torch.Tensor:
    """Additive attention mask of a decoder, (texts, 1, tokens, tokens) float32.

    0 for attended tokens up to the query's own position. No row is fully masked, since the first token of a text is
    always attended to.
    """
    position = torch.arange(attention_mask.shape[1])
    seen = (position[None, :] <= position[:, None])[None] & (attention_mask[:, None, :] != 0)
    return torch.zeros_like(seen, dtype=torch.float32).masked_fill(~seen, torch.finfo(torch.float32).min)[:, None]


def build(checkpoint: Checkpoint, tokenizer: CheckpointTokenizer, configuration: Configuration) -> Encoder:
    """Load the weights and assemble the module.

    Raises:
        IncompleteCheckpointError: weights are missing, or do not match each other or the tokenizer.
        SettingError: a length exceeds the encoder's positions, or ``dim`` its dimensions.
        UnsupportedCheckpointError: an activation or an architecture that cannot be exported.
    """
    tensors.check_size(configuration.folder)
    head = [Dense(layer, weights.load_dense(layer)) for layer in checkpoint.head]  # small, so its errors come first
    source = weights.load_backbone(configuration, besides=checkpoint.head_tensors)
    backbone = source.module
    # Pass type ids only if the tokenizer makes them and the encoder takes them: probe, do not match class names.
    takes_types = tokenizer.emits_token_type_ids and weights.accepts(backbone, "token_type_ids")
    inputs = ("input_ids", "attention_mask") + (("token_type_ids",) if takes_types else ())
    hidden = int(backbone.config.hidden_size)
    if head and checkpoint.head[0].in_features != hidden:
        raise IncompleteCheckpointError(
            f"the projection of {checkpoint.id} takes {checkpoint.head[0].in_features} dimensions, but its encoder has "
            f"{hidden}."
        )
    outputs = checkpoint.head[-1].out_features if head else hidden
    if checkpoint.dim is not None and not 1 <= checkpoint.dim <= outputs:
        raise SettingError(f"--dim {checkpoint.dim} is not between 1 and the {outputs} dimensions of {checkpoint.id}.")
    embeddings = backbone.get_input_embeddings()
    assert isinstance(embeddings, nn.Embedding)
    rows = embeddings.num_embeddings
    vocabulary = tokenizer.reference.get_vocab()
    if len(vocabulary) < rows / 2:
        raise IncompleteCheckpointError(
            f"the tokenizer of {checkpoint.id} has {len(vocabulary)} tokens, its encoder has embeddings for {rows}: "
            "the vocabulary was not read. Load it with transformers' AutoTokenizer where it was trained and save it, "
            "which writes tokenizer.json."
        )
    highest = max(vocabulary.values())
    if highest >= rows:
        raise IncompleteCheckpointError(
            f"the tokenizer of {checkpoint.id} has ids up to {highest}, its encoder has embeddings for {rows}: the "
            "others would be randomly initialised."
        )
    settings = checkpoint.settings
    unattended = settings.do_query_expansion and not settings.attend_to_expansion_tokens
    empty = EmptyWindows.of(backbone, settings.query_length) if unattended else None
    convolutions = ShortConvolutions.of(backbone, masked=unattended)
    encoder = Encoder(source, head, inputs, checkpoint.dim, empty, convolutions).eval()
    for name in ("query_length", "document_length"):
        length = getattr(settings, name)
        if length > encoder.max_positions:
            raise SettingError(
                f"{name} is {length} (from {checkpoint.sources[name]}), but {checkpoint.id} has only "
                f"{encoder.max_positions} positions; set --{name.replace('_', '-')}."
            )
    return encoder


def _activation(path: str) -> nn.Module:
    """The torch.nn class with this import path. Nothing else is ever imported."""
    package, _, name = path.rpartition(".")
    found = getattr(nn, name, None)
    if package.startswith("torch.nn") and isinstance(found, type) and issubclass(found, nn.Module):
        try:
            module: nn.Module = found()
        except TypeError:
            pass
        else:
            return module
    raise UnsupportedCheckpointError(f"the projection's activation {path!r} is not a class of torch.nn.")
