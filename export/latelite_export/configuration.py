"""``config.json`` of a checkpoint's encoder: which keys are used, and which must never be acted on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoConfig, PretrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from latelite_export.architectures import ARCHITECTURES, Architecture
from latelite_export.checkpoint import first_line, read_json
from latelite_export.errors import RemoteCodeError, UnsupportedCheckpointError
from latelite_export.newer_config import translate
from latelite_export.silence import silence

_ACTS = ("trust_remote_code", "auto_map", "custom_pipelines", "attn_implementation", "use_kernels", "kernel_config")
"""Keys that make transformers load code or download files; so do some keys that begin with an underscore
(``_attn_implementation_internal``, ``_name_or_path``). CVE-2026-5241, CVE-2026-4372."""

_LARGEST = {
    **dict.fromkeys(("num_hidden_layers", "n_layers", "num_attention_heads", "n_heads"), 1 << 10),
    **dict.fromkeys(("hidden_size", "dim", "embedding_size"), 1 << 16),
    **dict.fromkeys(("intermediate_size", "hidden_dim"), 1 << 18),
    **dict.fromkeys(("vocab_size", "max_position_embeddings"), 1 << 24),
}
"""Upper bounds that no real encoder reaches; transformers would allocate a model of any size."""

_IRRELEVANT = frozenset(
    (
        "architectures",
        "transformers_version",
        "torch_dtype",
        "dtype",
        "use_cache",
        "initializer_range",
        "initializer_cutoff_factor",
        "hidden_dropout_prob",
        "attention_probs_dropout_prob",
        "attention_dropout",
        "dropout",
        "embedding_dropout",
        "mlp_dropout",
        "classifier_dropout",
        "classifier_dropout_prob",
        "classifier_pooling",
        "classifier_bias",
        "classifier_activation",
        "qa_dropout",
        "seq_classif_dropout",
        "summary_type",
        "summary_use_proj",
        "summary_activation",
        "summary_last_dropout",
        "id2label",
        "label2id",
        "num_labels",
        "problem_type",
        "finetuning_task",
        "task_specific_params",
        "gradient_checkpointing",
        "output_attentions",
        "output_hidden_states",
        "return_dict",
        "use_return_dict",
        "torchscript",
        "tie_word_embeddings",
        "tie_encoder_decoder",
        "decoder_bias",
        "sparse_prediction",
        "sparse_pred_ignore_index",
        "reference_compile",
        "repad_logits_with_grad",
        "deterministic_flash_attn",
        "pooler_fc_size",
        "pooler_num_attention_heads",
        "pooler_num_fc_layers",
        "pooler_type",
        "pooler_dropout",
        "pooler_hidden_act",
        "pooler_hidden_size",
        "bos_token_id",
        "eos_token_id",
        "cls_token_id",
        "sep_token_id",
        "mask_token_id",
        "unk_token_id",
        "model_max_length",
    )
)
"""Keys that do not affect token vectors; the fingerprint leaves them out."""


@dataclass(frozen=True)
class Configuration:
    """An encoder's configuration, safe to build a model from."""

    folder: Path
    raw: Mapping[str, Any]
    """The file's content without the keys in `_ACTS`."""
    parsed: PretrainedConfig
    architecture: Architecture | None
    """None if the checkpoint is loaded by its own code, with the user's permission."""
    code_revision: str | None = None
    """Commit of the repository that the code comes from, if that is another one."""
    notes: tuple[str, ...] = ()
    """Sentences about what the file declares and the export does not follow, for the user and the manifest."""

    @property
    def sha256(self) -> str:
        """Digest of all keys that may affect token vectors."""
        decisive = {key: value for key, value in self.raw.items() if key not in _IRRELEVANT}
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def read(
    folder: Path,
    *,
    trust_remote_code: bool = False,
    ignore_remote_code: bool = False,
    code_revision: str | None = None,
) -> Configuration:
    """Read and validate ``folder/config.json``. Downloads nothing and, unless allowed, runs no code.

    Args:
        folder: folder of the file.
        trust_remote_code: run the checkpoint's own model code.
        ignore_remote_code: load the architecture named by ``model_type`` instead.
        code_revision: commit of the repository that the code is in.

    Raises:
        CheckpointNotFoundError: the file is missing.
        RemoteCodeError: the checkpoint has its own code, and neither flag is set.
        UnsupportedCheckpointError: the architecture cannot be exported.
    """
    where = folder / "config.json"
    content = read_json(where)
    kind = str(content.get("model_type"))
    if (folder / "adapter_config.json").is_file():
        raise UnsupportedCheckpointError(
            f"{folder} holds a PEFT adapter; merge it into its base model and export that."
        )
    if content.get("quantization_config") or content.get("compression_config"):
        raise UnsupportedCheckpointError(
            f"{where} describes quantised weights; export the original checkpoint, the exporter does the quantisation."
        )
    own_code = _own_code(content)
    if own_code and trust_remote_code:
        return _remote(folder, content, code_revision)
    architecture = ARCHITECTURES.get(kind)
    if own_code and not ignore_remote_code:
        alternative = f", or load it as plain {kind} with --ignore-remote-code" if architecture else ""
        raise RemoteCodeError(
            f"{where} asks for the checkpoint's own model code ({own_code}); read it, then allow it with "
            f"--trust-remote-code{alternative}."
        )
    if architecture is None:
        raise UnsupportedCheckpointError(
            f"{where} names the architecture {kind!r}, which the exporter does not know; it knows "
            f"{', '.join(ARCHITECTURES)}."
        )
    _check_shape(content, kind, architecture, where)
    raw = _strip_actions(content)
    try:
        with silence():
            parsed = CONFIG_MAPPING[kind].from_dict(dict(translate(raw, folder)))
    except UnsupportedCheckpointError:
        raise
    except Exception as error:  # each architecture raises its own exceptions
        raise UnsupportedCheckpointError(f"{where} is not a valid configuration: {first_line(error)}") from error
    notes = _notes(content, kind, architecture, own_code)
    return Configuration(folder, raw, parsed, architecture, notes=notes)


def _own_code(content: Mapping[str, Any]) -> str | None:
    """The model class named by ``auto_map``, as written."""
    mapping = content.get("auto_map")
    if not isinstance(mapping, Mapping):
        return None
    return next((str(mapping[name]) for name in ("AutoModel", "AutoConfig") if mapping.get(name)), None)


def _check_shape(content: Mapping[str, Any], kind: str, architecture: Architecture, where: Path) -> None:
    """Refuse what ``model_type`` alone does not show: cross-attention, pruned heads, absurd sizes."""
    if content.get("is_encoder_decoder") or content.get("add_cross_attention"):
        raise UnsupportedCheckpointError(f"{where} describes a {kind} with a decoder; only encoders can be exported.")
    if content.get("is_decoder") and not architecture.decoder:
        raise UnsupportedCheckpointError(f"{where} describes a {kind} used as a decoder; it cannot be exported.")
    for name, largest in _LARGEST.items():
        if isinstance(value := content.get(name), int) and value > largest:
            raise UnsupportedCheckpointError(f"{where} has {name} {value}; the exporter accepts at most {largest}.")
    if content.get("pruned_heads"):
        raise UnsupportedCheckpointError(f"{where} describes a {kind} with pruned heads; it cannot be exported.")


def _strip_actions(value: Any) -> Any:
    """Remove, at any depth, the keys that make transformers run or download something."""
    if isinstance(value, Mapping):
        return {k: _strip_actions(v) for k, v in value.items() if k not in _ACTS and not str(k).startswith("_")}
    return value


def _notes(content: Mapping[str, Any], kind: str, architecture: Architecture, own_code: str | None) -> tuple[str, ...]:
    notes = []
    if own_code:
        notes.append(f"config.json names its own code ({own_code}), which was ignored: loaded as plain {kind}.")
    named = content.get("architectures")
    first = named[0] if isinstance(named, list) and named else None
    if first is not None and not architecture.saves_as(str(first)):
        notes.append(f"config.json names the class {first!r}; its model_type and all its tensors are those of {kind}.")
    return tuple(notes)


def _remote(folder: Path, content: Mapping[str, Any], code_revision: str | None) -> Configuration:
    """Read with the checkpoint's own code, which may be in another repository, fetched at ``code_revision``."""
    elsewhere = [str(v).partition("--")[0] for v in content["auto_map"].values() if "--" in str(v)]
    if elsewhere and code_revision is None:
        raise RemoteCodeError(
            f"{folder / 'config.json'} takes its code from the repository {elsewhere[0]}; read it, and name the commit "
            "with --code-revision."
        )
    try:
        with silence():
            parsed = AutoConfig.from_pretrained(
                folder, local_files_only=not elsewhere, trust_remote_code=True, code_revision=code_revision
            )
    except Exception as error:  # third-party code may raise anything
        raise UnsupportedCheckpointError(
            f"the code of {folder / 'config.json'} fails: {type(error).__name__}: {first_line(error)}"
        ) from error
    at = f" at {code_revision}" if elsewhere else ""
    note = f"loaded with its own code: {_own_code(content)}{at}."
    return Configuration(folder, content, parsed, None, code_revision if elsewhere else None, (note,))
