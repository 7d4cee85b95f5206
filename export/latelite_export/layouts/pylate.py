"""Checkpoints saved by PyLate: ``modules.json`` with a Transformer and Dense layers, and one settings file."""

from __future__ import annotations

from pathlib import Path

from latelite_export.checkpoint import Checkpoint, Overrides, Resolution, check_similarity, read_json
from latelite_export.errors import IncompleteCheckpointError, UnsupportedCheckpointError
from latelite_export.layouts import modules

CONFIG = "config_sentence_transformers.json"
_TANH = "torch.nn.modules.activation.Tanh"
_IDENTITY = "torch.nn.modules.linear.Identity"


class PyLate:
    """Reader of PyLate's layout."""

    name = "pylate"
    evidence = f"{modules.FILE} with a Transformer"

    def matches(self, folder: Path) -> bool:
        """Whether there is a ``modules.json``."""
        return (folder / modules.FILE).is_file()

    def read(self, folder: Path, checkpoint_id: str, revision: str | None, overrides: Overrides) -> Checkpoint:
        """Resolve the settings.

        Raises:
            UnsupportedCheckpointError: a module is neither Transformer, Dense nor Normalize.
            IncompleteCheckpointError: there is no projection, or its weights are missing.
        """
        transformer, *rest = modules.read_modules(folder)
        modules.check_origin(transformer, "sentence_transformers", "pylate")
        if transformer.kind != "Transformer":
            raise UnsupportedCheckpointError(f"{modules.FILE} starts with {transformer.type}, not with a Transformer.")
        head = []
        for module in rest:
            modules.check_origin(module, "sentence_transformers", "pylate")
            if module.kind == "Dense":
                # The default activation depends on the package.
                default = _IDENTITY if module.type.startswith("pylate.") else _TANH
                head.append(modules.read_dense(module.folder, default_activation=default))
            elif module.kind == "Pooling":
                raise UnsupportedCheckpointError(
                    f"{checkpoint_id} pools its tokens into one vector ({module.type}): it is a sentence-embedding "
                    "model without a late-interaction head."
                )
            elif module.kind != "Normalize":  # token vectors are always normalised
                raise UnsupportedCheckpointError(f"{modules.FILE} names {module.type}, which cannot be exported.")
        if not head:
            raise IncompleteCheckpointError(
                f"{checkpoint_id} has no projection (no Dense in {modules.FILE}), so it was not trained for late "
                "interaction; export a late-interaction checkpoint."
            )
        modules.check_chain(tuple(head), folder)
        lower = modules.transformer_config(transformer.folder)
        config = read_json(folder / CONFIG, required=False)
        check_similarity(config.get("similarity_fn_name"), CONFIG)
        resolution = Resolution()
        settings = resolution.settings(
            config,
            CONFIG,
            read_json(lower, required=False),
            lower.name,
            overrides,
        )
        return Checkpoint(
            id=checkpoint_id,
            revision=revision,
            layout=self.name,
            backbone=transformer.folder,
            tokenizer=transformer.folder,
            head=tuple(head),
            settings=settings,
            sources=resolution.sources,
            dim=overrides.dim,
            skip_policy="unk",
        )
