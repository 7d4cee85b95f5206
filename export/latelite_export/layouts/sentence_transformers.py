"""Checkpoints saved by Sentence Transformers 6 as a MultiVectorEncoder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from latelite_export.checkpoint import (
    Checkpoint,
    DenseLayer,
    Overrides,
    Resolution,
    check_similarity,
    first_line,
    read_json,
)
from latelite_export.errors import IncompleteCheckpointError, SettingError, UnsupportedCheckpointError
from latelite_export.layouts import modules

CONFIG = "config_sentence_transformers.json"
_MASK = "MultiVectorMask"
_TOKENS = "token_embeddings"
_TANH = "torch.nn.modules.activation.Tanh"
_ROLES = {"query": "query_prefix", "document": "document_prefix"}


class SentenceTransformers:
    """Reader of Sentence Transformers 6's layout.

    It has prompts, prepended as text, in place of prefixes. If a prompt starts with a single token, that token becomes
    the prefix and the rest stays a prompt; the ids are the same.
    """

    name = "sentence-transformers"
    evidence = f"{modules.FILE} with a {_MASK}"

    def matches(self, folder: Path) -> bool:
        """Whether ``modules.json`` lists the module that is specific to a MultiVectorEncoder."""
        if not (folder / modules.FILE).is_file():
            return False
        return any(module.kind == _MASK for module in modules.read_modules(folder))

    def read(self, folder: Path, checkpoint_id: str, revision: str | None, overrides: Overrides) -> Checkpoint:
        """Resolve the settings.

        Raises:
            UnsupportedCheckpointError: the runtime does not support a module or an option.
            IncompleteCheckpointError: the projection's weights are missing.
        """
        transformer, *rest = modules.read_modules(folder)
        for module in (transformer, *rest):
            modules.check_origin(module, "sentence_transformers", "pylate")
        if transformer.kind != "Transformer":
            raise UnsupportedCheckpointError(f"{modules.FILE} starts with {transformer.type}, not with a Transformer.")
        head: list[DenseLayer] = []
        mask: Mapping[str, Any] = {}
        normalised = False
        for module in rest:
            options = read_json(module.folder / "config.json", required=False)
            if module.kind == "Dense":
                if options.get("module_input_name", _TOKENS) != _TOKENS or normalised:
                    raise UnsupportedCheckpointError(
                        f"{module.folder} is a Dense layer that does not project token vectors; it cannot be exported."
                    )
                head.append(modules.read_dense(module.folder, default_activation=_TANH))
            elif module.kind == _MASK:
                mask = options
            elif module.kind == "Normalize" and options.get("module_input_name") == _TOKENS:
                normalised = True
            elif module.kind == "HierarchicalTokenPooling" and options.get("pool_factor") in (None, 0, 1):
                pass
            else:
                raise UnsupportedCheckpointError(f"{modules.FILE} names {module.type}, which cannot be exported.")
        if not normalised:
            raise UnsupportedCheckpointError(
                f"{checkpoint_id} does not normalise its token vectors; latelite supports normalised ones only."
            )
        modules.check_chain(tuple(head), folder)
        _check_mask(mask)
        knobs_path = modules.transformer_config(transformer.folder)
        knobs = read_json(knobs_path, required=False)
        expansion = knobs.get("query_expansion")
        _check_expansion(expansion, knobs_path)
        config = read_json(folder / CONFIG, required=False)
        check_similarity(config.get("similarity_fn_name"), CONFIG)
        prompts = config.get("prompts") or {}
        if not isinstance(prompts, Mapping) or not all(isinstance(text, str) for text in prompts.values()):
            raise SettingError(f"prompts is {prompts!r} in {CONFIG}, which is not a valid value.")
        prompts = dict(prompts)
        prefixes = _split_prompts(prompts, transformer.folder)
        longest = _longest(transformer.folder)
        resolution = Resolution()
        settings = resolution.settings(
            {
                **prefixes,
                "prompts": prompts,
                "default_prompt_name": config.get("default_prompt_name"),
                "do_query_expansion": expansion is not None,
                "attend_to_expansion_tokens": bool(expansion and expansion.get("attend")),
                "query_length": expansion["length"] if expansion else knobs.get("query_length") or longest,
                "document_length": knobs.get("document_length") or longest,
                "skiplist_words": mask.get("skiplist_words") or [],
            },
            f"{CONFIG}, {knobs_path.name} and {_MASK}",
            knobs,
            knobs_path.name,
            overrides,
            strip=False,
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
            skip_policy="drop",
            expansion_token=expansion.get("token") if expansion else None,
        )


def _check_mask(mask: Mapping[str, Any]) -> None:
    tasks = mask.get("skiplist_tasks") or ["document"]
    if mask.get("skiplist_words") and tasks != ["document"]:
        raise UnsupportedCheckpointError(f"its {_MASK} skips words of {tasks}; only documents can have a skiplist.")
    if mask.get("keep_only_token_ids"):
        raise UnsupportedCheckpointError(
            f"its {_MASK} keeps only certain token ids, as image models do; it cannot be exported."
        )


def _check_expansion(expansion: Any, path: Path) -> None:
    if expansion is None:
        return
    if not isinstance(expansion, Mapping) or not isinstance(expansion.get("length"), int):
        raise SettingError(f"query_expansion is {expansion!r} in {path}, which is not a valid value.")
    if expansion.get("strategy") != "fixed":
        raise UnsupportedCheckpointError(
            f"query_expansion in {path} has strategy {expansion.get('strategy')!r}; only 'fixed' can be exported."
        )


def _split_prompts(prompts: dict[str, str], folder: Path) -> dict[str, str]:
    """Move the leading token of the query and document prompts to the prefixes."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise IncompleteCheckpointError(f"{path} is missing.")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises plain Exception
        raise IncompleteCheckpointError(f"{path} is not a tokenizer: {first_line(error)}") from error
    prefixes = dict.fromkeys(_ROLES.values(), "")
    added = sorted((token.content for token in tokenizer.get_added_tokens_decoder().values()), key=len, reverse=True)
    for role, setting in _ROLES.items():
        prompt = prompts.get(role) or ""
        for token in added:
            ids = tokenizer.encode(f"{token}a", add_special_tokens=False).ids
            if token and prompt.startswith(token) and ids[:1] == [tokenizer.token_to_id(token)]:
                prefixes[setting] = token
                # Tokenizers ignore spaces between a marker and the text.
                prompts[role] = prompt.removeprefix(token).lstrip()
                if not prompts[role]:
                    del prompts[role]
                break
    return prefixes


def _longest(folder: Path) -> int | None:
    """The tokenizer's default truncation length."""
    # transformers validates other values.
    limits = [
        read_json(folder / "tokenizer_config.json", required=False).get("model_max_length"),
        read_json(folder / "config.json").get("max_position_embeddings"),
    ]
    known = [int(limit) for limit in limits if isinstance(limit, int | float) and 0 < limit < 1 << 30]
    return min(known) if known else None
