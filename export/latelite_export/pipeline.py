"""The export pipeline, from checkpoint to bundle."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from latelite.files import atomic_write
from latelite.manifest import MANIFEST_NAME, TOKENIZER_NAME, Graph, Manifest, Settings
from latelite_export import (
    bundle,
    configuration,
    encoder,
    graph,
    hub,
    layouts,
    quantize,
    texts,
    tokenizer,
    trace,
    verify,
)
from latelite_export.checkpoint import Checkpoint, Overrides
from latelite_export.comparison import LIMITS
from latelite_export.errors import GateError
from latelite_export.graph.narrowing import narrow
from latelite_export.quantize import Scheme
from latelite_export.reference import Reference
from latelite_export.repair import Goal, Repair, repair
from latelite_export.texts import Collection

logger = logging.getLogger(__name__)

Stage = Callable[[str], None]

_FP32_FILE = "model.onnx"
_INT8_FILE = "model_int8.onnx"
_MINIMUM_ONNXRUNTIME = "1.20"
_TOOLCHAIN = ("latelite", "torch", "transformers", "onnx", "onnxruntime", "tokenizers", "numpy")


def export(
    checkpoint: str | Path,
    out: str | Path,
    *,
    revision: str | None = None,
    token: str | None = None,
    offline: bool = False,
    override: bool = False,
    query_expansion: bool | None = None,
    query_length: int | None = None,
    document_length: int | None = None,
    query_prefix: str | None = None,
    document_prefix: str | None = None,
    attend_to_expansion: bool | None = None,
    dim: int | None = None,
    scheme: Scheme = "int8",
    trust_remote_code: bool = False,
    ignore_remote_code: bool = False,
    code_revision: str | None = None,
    gate_texts: str | Path | None = None,
    on_stage: Stage = lambda _: None,
    on_settings: Callable[[Checkpoint], None] = lambda _: None,
) -> Manifest:
    """Write the bundle of a late-interaction checkpoint.

    Args:
        checkpoint: folder or hub id.
        out: folder to write.
        revision: branch, tag or commit on the hub.
        token: access token for the hub.
        offline: use only files downloaded before, no network.
        override: replace the bundle at ``out``.
        query_expansion: pad queries to their full length with mask tokens. For this and the next five arguments, None
            keeps the checkpoint's setting.
        query_length: maximum tokens of a query.
        document_length: maximum tokens of a document.
        query_prefix: marker of queries.
        document_prefix: marker of documents.
        attend_to_expansion: let tokens attend to expansion tokens.
        dim: number of leading dimensions to keep (Matryoshka checkpoints); None: all.
        scheme: ``int8``, ``int8-avx2`` (7-bit weights, for x86 without VNNI) or ``fp32`` (no int8 graph).
        trust_remote_code: run the checkpoint's own Python code.
        ignore_remote_code: load the architecture named by ``model_type`` and ignore the checkpoint's own code.
        code_revision: commit of the repository that the checkpoint's code is in, if that is another one.
        gate_texts: folder of texts to tune and judge the int8 graph on, see `texts.read`; None: the exporter's, in
            seven languages.
        on_stage: progress callback, called with one line per stage.
        on_settings: called with the resolved checkpoint as soon as it is known.

    Returns:
        The manifest that was written.

    Raises:
        ExportError: the checkpoint cannot be exported faithfully, or ``out`` exists. ``out`` is left untouched.
    """
    out = Path(os.path.abspath(out))  # noqa: PTH100 - resolve() would follow a link, which is to be replaced itself
    bundle.check_output(out, override=override)
    on_stage(f"reading {checkpoint}")
    collections = texts.collections() if gate_texts is None else texts.read(Path(gate_texts))
    location = hub.locate(checkpoint, revision=revision, token=token, offline=offline, code=trust_remote_code)
    overrides = Overrides(
        query_expansion, query_length, document_length, query_prefix, document_prefix, attend_to_expansion, dim
    )
    resolved = layouts.read(location.folder, location.id, location.revision, overrides)
    config = configuration.read(
        resolved.backbone,
        trust_remote_code=trust_remote_code,
        ignore_remote_code=ignore_remote_code,
        code_revision=code_revision,
    )
    words = tokenizer.load(resolved, config.parsed, trust_remote_code=trust_remote_code)
    resolved = dataclasses.replace(resolved, notes=(*config.notes, *words.notes))
    on_settings(resolved)
    module = encoder.build(resolved, words, config)
    reference = Reference(module, words, resolved.settings)

    on_stage("writing the graph")
    fp32, form = _graph(module, resolved.settings, on_stage)
    models = {_FP32_FILE: fp32}
    described = {"fp32": Graph(_FP32_FILE, "fp32", form)}
    if scheme != "fp32":
        on_stage("quantising to int8")
        fixed = _repair(fp32, scheme, reference, collections, on_stage)
        models[_INT8_FILE] = quantize.quantize(fp32, scheme, fixed.plan)
        described["int8"] = Graph(_INT8_FILE, scheme, {**form, **_details(scheme, fixed)})

    with bundle.staging(out, override=override) as folder:
        models[_FP32_FILE] = narrow(fp32)
        for name, model in models.items():
            _write(folder / name, model.SerializeToString(deterministic=True))
        _write(folder / TOKENIZER_NAME, words.json.encode())
        for path in bundle.licences(location.folder):
            _write(folder / path.name, path.read_bytes())
        manifest = Manifest(
            checkpoint={
                "id": resolved.id,
                "revision": resolved.revision,
                "layout": resolved.layout,
                "architecture": module.architecture,
                "weights_sha256": module.fingerprint,
                "tokenizer_sha256": words.fingerprint,
                "notes": list(resolved.notes),
                "skip_policy": resolved.skip_policy,
            },
            dim=reference.dim,
            max_positions=module.max_positions,
            settings=resolved.settings,
            sources=resolved.sources,
            token_ids=words.ids,
            inputs=graph.input_names(fp32),
            output=graph.OUTPUT,
            opset=graph.opset(fp32),
            minimum_onnxruntime=_MINIMUM_ONNXRUNTIME,
            graphs=described,
            files={name: bundle.entry(folder / name) for name in (*models, TOKENIZER_NAME)},
            toolchain={name: version(name) for name in _TOOLCHAIN},
            verification={},
        )
        _write(folder / MANIFEST_NAME, manifest.to_json().encode())
        manifest = _verify(folder, manifest, reference, scheme, collections, on_stage)
        _write(folder / MANIFEST_NAME, manifest.to_json().encode())
    on_stage(f"wrote {out}")
    return manifest


def reverify(
    bundle_folder: str | Path,
    checkpoint: str | Path,
    *,
    revision: str | None = None,
    token: str | None = None,
    offline: bool = False,
    trust_remote_code: bool = False,
    ignore_remote_code: bool = False,
    code_revision: str | None = None,
    gate_texts: str | Path | None = None,
    pylate: str | None = None,
    on_stage: Stage = lambda _: None,
) -> dict[str, Any]:
    """Run the gate again on a bundle and the checkpoint it was made from; arguments as for `export`.

    If ``pylate`` names an interpreter that has PyLate (or Sentence Transformers 6), the bundle is also compared with
    that library on the same texts.

    Raises:
        GateError: the bundle was made from other weights, or does not reproduce them.
    """
    folder = Path(bundle_folder)
    manifest = Manifest.read(folder)
    collections = texts.collections() if gate_texts is None else texts.read(Path(gate_texts))
    location = hub.locate(checkpoint, revision=revision, token=token, offline=offline, code=trust_remote_code)
    resolved = layouts.read(location.folder, location.id, location.revision, Overrides(dim=manifest.dim))
    resolved = dataclasses.replace(resolved, settings=manifest.settings, sources=manifest.sources)
    config = configuration.read(
        resolved.backbone,
        trust_remote_code=trust_remote_code,
        ignore_remote_code=ignore_remote_code,
        code_revision=code_revision,
    )
    words = tokenizer.load(resolved, config.parsed, trust_remote_code=trust_remote_code)
    module = encoder.build(resolved, words, config)
    # Bundles without a tokenizer hash are from older exporters, which hashed weights differently.
    comparable = "tokenizer_sha256" in manifest.checkpoint
    if comparable and module.fingerprint != manifest.checkpoint["weights_sha256"]:
        raise GateError(f"{folder} was not made from the weights in {checkpoint}.")
    reference = Reference(module, words, manifest.settings)
    report = verify.gate(folder, reference, collections=collections, stage=on_stage)
    if pylate is not None:
        on_stage(f"encoding with the library of {pylate}")
        report["pylate"] = verify.compare_with_library(
            folder, location.folder, pylate, collections, trust_remote_code=trust_remote_code
        )
    return report


def _graph(module: encoder.Encoder, settings: Settings, on_stage: Stage) -> tuple[onnx.ModelProto, Mapping[str, Any]]:
    """The fp32 graph, and its description for the manifest."""
    written = graph.write(module, masked=settings.do_query_expansion and not settings.attend_to_expansion_tokens)
    if written is not None:
        return written, {"graph": "fused"}
    on_stage(f"{module.architecture} has no fused form; tracing its graph")
    return trace.trace(module), {"graph": "as traced"}


def _repair(
    model: onnx.ModelProto, scheme: Scheme, reference: Reference, collections: Sequence[Collection], on_stage: Stage
) -> Repair:
    """Choose the int8 plan on one half of the texts; the gate judges it on the other."""
    limits = LIMITS
    # Smoothing costs almost nothing, so its goal is less than half of the error that the gate allows.
    goal = Goal(1 - 0.4 * (1 - limits.cosine_mean), 1 - 0.4 * (1 - limits.cosine_p1), (1 + limits.top10_overlap) / 2)
    # Stricter than the gate, which uses other texts.
    minimum = Goal(1 - 0.9 * (1 - limits.cosine_mean), 1 - 0.9 * (1 - limits.cosine_p1), limits.top10_overlap + 0.01)
    samples = [
        reference.sample(text, is_query=is_query)
        for half in (collection.calibration() for collection in collections)
        for is_query, batch in ((True, half.queries), (False, half.documents))
        for text in batch
    ]
    return repair(model, scheme, samples, goal, minimum, on_stage)


def _details(scheme: Scheme, fixed: Repair) -> Mapping[str, Any]:
    seven = ", 7 bits" if quantize.limit(scheme) < 64 else ""
    return {
        "weights": f"int8 symmetric, a scale per output channel{seven}",
        "activations": "uint8, a scale per tensor, dynamic",
        "embedding": "int8, a scale per row",
        **fixed.details,
    }


def _verify(
    folder: Path,
    manifest: Manifest,
    reference: Reference,
    scheme: Scheme,
    collections: Sequence[Collection],
    on_stage: Stage,
) -> Manifest:
    """Run the gate; the manifest with its report, and the golden vectors."""
    try:
        report = verify.gate(folder, reference, collections=collections, stage=on_stage)
    except GateError as error:
        kept = manifest.graphs["int8"].details.get("fp32") if "int8" in manifest.graphs else None
        advice = (
            f" Scheme {scheme} does not work for this checkpoint; use --scheme fp32."
            if kept and "int8" in error.report
            else ""
        )
        raise GateError(f"{error} Nothing was written.{advice}", error.report) from error
    entries, vectors = verify.golden(folder, collections)
    with atomic_write(folder / verify.GOLDEN_FILE) as file:
        np.save(file, vectors, allow_pickle=False)
    report["golden"] = {"file": verify.GOLDEN_FILE, "texts": entries}
    files = {**manifest.files, verify.GOLDEN_FILE: bundle.entry(folder / verify.GOLDEN_FILE)}
    return dataclasses.replace(manifest, verification=report, files=files)


def _write(path: Path, content: bytes) -> None:
    with atomic_write(path) as file:
        file.write(content)
