"""Checkpoint folders that the exporter must refuse: one per seed, each made by damaging a good one.

Each maker takes a copy of a checkpoint, a random stream and the path that hostile code would touch if it ever ran.
"""

from __future__ import annotations

import json
import pickle
import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file, save_file

BASES = ("bert-pylate", "stanford", "st6-fixed", "modernbert", "mpnet", "distilbert-256")

Maker = Callable[[Path, random.Random, Path], None]

_NOT_OBJECTS = ("", "{", "[]", "null", '"text"', "12", "NaN", "{'a': 1}", "[" * 5000, '{"a": }', "\ufeff{}", "\x00")
_ODD: tuple[Any, ...] = (None, -1, 0, 1.5, "many", [], {}, [[1]], {"a": {"b": 1}}, 10**30)


def make(number: int, source: Callable[[str], Path], folder: Path, marker: Path) -> str:
    """Write the malformed folder with this number; returns a description of the damage."""
    stream = random.Random(number)
    base = stream.choice(BASES)
    shutil.copytree(source(base), folder)
    name = NAMES[number % len(NAMES)]
    _MAKERS[name](folder, stream, marker)
    return f"{base}: {name}"


def _weights(folder: Path) -> Path:
    return folder / "model.safetensors"


def _edit(path: Path, **content: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | content), encoding="utf-8")


def _dense(folder: Path) -> Path | None:
    return next((part for part in sorted(folder.iterdir()) if part.name.endswith("_Dense")), None)


def truncated_weights(folder: Path, stream: random.Random, _: Path) -> None:
    content = _weights(folder).read_bytes()
    _weights(folder).write_bytes(content[: stream.randrange(len(content))])


def random_weights(folder: Path, stream: random.Random, _: Path) -> None:
    _weights(folder).write_bytes(stream.randbytes(stream.choice((0, 1, 7, 8, 100, 10_000))))


def endless_header(folder: Path, stream: random.Random, _: Path) -> None:
    _weights(folder).write_bytes(struct.pack("<Q", stream.choice((1 << 63, 1 << 40, 999_999_999))) + b"{}")


def a_tensor_less(folder: Path, stream: random.Random, _: Path) -> None:
    tensors = load_file(_weights(folder))
    used = [name for name in sorted(tensors) if "pooler" not in name]
    del tensors[stream.choice(used)]
    save_file(tensors, _weights(folder))


def a_tensor_more(folder: Path, stream: random.Random, _: Path) -> None:
    tensors = load_file(_weights(folder))
    name = stream.choice([name for name in sorted(tensors) if "pooler" not in name])
    more = stream.choice(("lora_A.weight", "weight_scale", "adapter.down.weight", "extra"))
    save_file(tensors | {f"{name}.{more}": tensors[name]}, _weights(folder))


def another_shape(folder: Path, stream: random.Random, _: Path) -> None:
    tensors = load_file(_weights(folder))
    name = stream.choice([name for name in sorted(tensors) if "pooler" not in name and "mbeddings." not in name])
    save_file(tensors | {name: tensors[name][..., :-1].copy()}, _weights(folder))


def quantised_weights(folder: Path, stream: random.Random, _: Path) -> None:
    tensors = load_file(_weights(folder))
    name = stream.choice([n for n in sorted(tensors) if n.endswith("weight") and tensors[n].ndim == 2])
    save_file(tensors | {name: tensors[name].astype("int8")}, _weights(folder))


def no_numbers(folder: Path, stream: random.Random, _: Path) -> None:
    tensors = load_file(_weights(folder))
    name = stream.choice([n for n in sorted(tensors) if n.endswith("orm.weight") and "pooler" not in n])
    tensors[name][...] = stream.choice((float("nan"), float("inf")))
    save_file(tensors, _weights(folder))


class _Payload:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


def a_pickle_with_code(folder: Path, stream: random.Random, marker: Path) -> None:
    target = stream.choice([folder, _dense(folder) or folder])
    (target / "model.safetensors").unlink()
    (target / "pytorch_model.bin").write_bytes(pickle.dumps({"embeddings.weight": _Payload(marker)}))


def no_weights(folder: Path, stream: random.Random, _: Path) -> None:
    (stream.choice([folder, _dense(folder) or folder]) / "model.safetensors").unlink()


def a_cyclic_link(folder: Path, stream: random.Random, _: Path) -> None:
    path = folder / stream.choice(("config.json", "tokenizer.json", "model.safetensors"))
    path.unlink()
    if stream.random() < 0.5:
        path.symlink_to(path.name)
    else:
        path.symlink_to(folder)


def a_folder_for_a_file(folder: Path, stream: random.Random, _: Path) -> None:
    path = folder / stream.choice(("config.json", "tokenizer.json", "model.safetensors"))
    path.unlink()
    path.mkdir()


def no_json(folder: Path, stream: random.Random, _: Path) -> None:
    path = folder / stream.choice(("config.json", "tokenizer.json"))
    path.write_text(stream.choice(_NOT_OBJECTS), encoding="utf-8")


def no_json_settings(folder: Path, stream: random.Random, _: Path) -> None:
    names = ("modules.json", "config_sentence_transformers.json", "artifact.metadata", "tokenizer_config.json")
    path = stream.choice([folder / name for name in names if (folder / name).is_file()])
    path.write_text(stream.choice([text for text in _NOT_OBJECTS if text != "[]"]), encoding="utf-8")


def not_utf8(folder: Path, stream: random.Random, _: Path) -> None:
    path = folder / stream.choice(("config.json", "tokenizer.json"))
    path.write_bytes(b"\xff\xfe" + stream.randbytes(50))


def an_odd_shape_in_the_configuration(folder: Path, stream: random.Random, _: Path) -> None:
    content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "dim", "n_layers", "n_heads", "vocab_size")
    name = stream.choice([name for name in names if name in content])
    _edit(folder / "config.json", **{name: stream.choice(_ODD)})


def impossible_sizes(folder: Path, stream: random.Random, _: Path) -> None:
    """Sizes that no machine could allocate."""
    content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    names = ("num_hidden_layers", "n_layers", "hidden_size", "dim", "intermediate_size", "hidden_dim", "vocab_size")
    name = stream.choice([name for name in names if name in content])
    _edit(folder / "config.json", **{name: stream.choice((10**6, 10**9, 10**12))})


def an_odd_projection(folder: Path, stream: random.Random, _: Path) -> None:
    path = (_dense(folder) or folder) / "config.json"
    names = ("in_features", "out_features") if _dense(folder) else ("hidden_size", "num_attention_heads")
    _edit(path, **{stream.choice(names): stream.choice((None, -1, 0, 7, "many", [], {}, 10**9, True))})


def an_unknown_architecture(folder: Path, stream: random.Random, _: Path) -> None:
    kinds = ("mine", "t5", "clip", "gpt2", "llama", "whisper", "", None, 7, ["bert"], {"bert": 1}, "Bert", "bert\n")
    _edit(folder / "config.json", model_type=stream.choice(kinds))


def code_of_its_own(folder: Path, stream: random.Random, marker: Path) -> None:
    (folder / "mine.py").write_text(f"import pathlib\npathlib.Path({str(marker)!r}).touch()\n")
    where = stream.choice(("mine.Model", "someone/elsewhere--mine.Model"))
    kind = stream.choice(("mine", "bert", "xlm-roberta"))
    _edit(
        folder / "config.json",
        model_type=kind,
        auto_map={"AutoConfig": where.replace("Model", "Config"), "AutoModel": where},
        trust_remote_code=True,
    )


def nested_code(folder: Path, stream: random.Random, marker: Path) -> None:
    """CVE-2026-5241: a configuration that holds another, which is loaded with the trust that the file claims."""
    inner = folder / "inner"
    inner.mkdir()
    (inner / "mine.py").write_text(f"import pathlib\npathlib.Path({str(marker)!r}).touch()\n")
    (inner / "config.json").write_text(
        json.dumps({"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config", "AutoModel": "mine.Model"}})
    )
    nested = {"model_type": "mine", "_name_or_path": str(inner), "trust_remote_code": True}
    kind = stream.choice(("lightglue", "superglue", "encoder-decoder", "vision-text-dual-encoder"))
    _edit(
        folder / "config.json",
        model_type=kind,
        trust_remote_code=True,
        keypoint_detector_config=nested,
        encoder=nested,
        decoder=nested,
    )


def tokenizer_code(folder: Path, _: random.Random, marker: Path) -> None:
    (folder / "mine.py").write_text(f"import pathlib\npathlib.Path({str(marker)!r}).touch()\n")
    _edit(
        folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["mine.Slow", "mine.Fast"]}, tokenizer_class="Mine"
    )


def a_bad_index(folder: Path, stream: random.Random, _: Path) -> None:
    _weights(folder).rename(folder / "elsewhere.safetensors")
    shards: Any = stream.choice(
        (
            {"a": "../outside.safetensors"},
            {"a": "missing.safetensors"},
            {"a": "/etc/passwd"},
            {"a": 3},
            {},
            None,
            {"a": "config.json"},
        )
    )
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))


def modules_that_lead_outside(folder: Path, stream: random.Random, _: Path) -> None:
    path = stream.choice(("../..", "/tmp", "nowhere"))
    kind = stream.choice(("sentence_transformers.models.Dense", "os.system", "custom.Module"))
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": path, "type": kind},
    ]
    (folder / "modules.json").write_text(json.dumps(modules))


def odd_modules(folder: Path, stream: random.Random, _: Path) -> None:
    unnamed, unnumbered = {"idx": 0, "path": 3, "type": 4}, {"idx": "x", "path": "", "type": ""}
    content: Any = stream.choice(([], [1], [{}], [None], [unnumbered], [unnamed], {"idx": 0}))
    (folder / "modules.json").write_text(json.dumps(content))


def an_odd_setting(folder: Path, stream: random.Random, _: Path) -> None:
    if (folder / "artifact.metadata").is_file():
        name = stream.choice(("query_maxlen", "doc_maxlen", "query_token_id"))
        _edit(folder / "artifact.metadata", **{name: stream.choice((-1, 1.5, [], {}, True, 10**9))})
    else:
        config = folder / "config_sentence_transformers.json"
        similarity = {"similarity_fn_name": stream.choice(("dot", "euclidean", "l2"))}
        prompts = {"prompts": stream.choice(("query: ", [1], {"query": 3}))}
        _edit(config, **stream.choice((similarity, prompts)))


def an_adapter(folder: Path, _: random.Random, __: Path) -> None:
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')


def quantisation_in_the_configuration(folder: Path, stream: random.Random, _: Path) -> None:
    method = stream.choice(("bitsandbytes", "gptq", "fp8", "awq"))
    _edit(folder / "config.json", quantization_config={"quant_method": method, "load_in_8bit": True})


def half_a_tokenizer(folder: Path, stream: random.Random, _: Path) -> None:
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    broken: dict[str, Any] = stream.choice(
        (
            {"model": None},
            {"model": {}},
            {"model": {"type": "Mine"}},
            {"normalizer": {"type": "Mine"}},
            {"added_tokens": 3},
            {"version": 3},
        )
    )
    path.write_text(json.dumps(content | broken), encoding="utf-8")


_MAKERS: dict[str, Maker] = {
    maker.__name__.replace("_", " "): maker
    for maker in (
        truncated_weights,
        random_weights,
        endless_header,
        a_tensor_less,
        a_tensor_more,
        another_shape,
        quantised_weights,
        no_numbers,
        a_pickle_with_code,
        no_weights,
        a_cyclic_link,
        a_folder_for_a_file,
        no_json,
        no_json_settings,
        not_utf8,
        an_odd_shape_in_the_configuration,
        impossible_sizes,
        an_odd_projection,
        an_unknown_architecture,
        code_of_its_own,
        nested_code,
        tokenizer_code,
        a_bad_index,
        modules_that_lead_outside,
        odd_modules,
        an_odd_setting,
        an_adapter,
        quantisation_in_the_configuration,
        half_a_tokenizer,
    )
}
NAMES = tuple(_MAKERS)
