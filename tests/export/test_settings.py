"""Every setting comes from the argument, else the checkpoint, else the default, and its source is recorded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from latelite_export import layouts
from latelite_export.checkpoint import Checkpoint, Overrides
from latelite_export.errors import SettingError

CONFIG = "config_sentence_transformers.json"


def read(folder: Path, **overrides: object) -> Checkpoint:
    return layouts.read(folder, folder.name, None, Overrides(**overrides))  # type: ignore[arg-type]


def change(folder: Path, **settings: object) -> Path:
    path = folder / CONFIG
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    return folder


def test_expansion_is_on_where_the_checkpoint_does_not_say(checkpoint: Callable[[str], Path]) -> None:
    found = read(checkpoint("bert-expansion"))
    assert found.settings.do_query_expansion is True
    assert found.sources["do_query_expansion"] == "default"


def test_a_value_in_the_checkpoint_wins_over_the_default(checkpoint: Callable[[str], Path]) -> None:
    found = read(checkpoint("bert-pylate"))
    assert found.settings.do_query_expansion is False
    assert found.sources["do_query_expansion"] == CONFIG
    assert found.sources["do_lower_case"] == "sentence_bert_config.json"


def test_an_argument_wins_over_the_checkpoint(checkpoint: Callable[[str], Path]) -> None:
    found = read(checkpoint("bert-pylate"), query_expansion=True, query_length=48, document_length=300)
    assert (found.settings.do_query_expansion, found.settings.query_length, found.settings.document_length) == (
        True,
        48,
        300,
    )
    assert {found.sources[key] for key in ("do_query_expansion", "query_length", "document_length")} == {"argument"}


def test_nothing_is_attended_to_where_nothing_is_expanded(checkpoint: Callable[[str], Path]) -> None:
    found = read(checkpoint("bert-attend-without-expansion"))
    assert found.settings.attend_to_expansion_tokens is False
    assert found.sources["attend_to_expansion_tokens"] == "off, because query expansion is off"


def test_null_means_the_default(checkpoint: Callable[[str], Path]) -> None:
    found = read(checkpoint("bert-two-dense"))
    assert found.settings.query_prefix == "[Q] "
    assert found.settings.query_length == 32
    assert len(found.settings.skiplist_words) == 32
    assert found.sources["query_prefix"] == "default"


def test_stanford_settings_come_from_the_metadata(checkpoint: Callable[[str], Path]) -> None:
    found = read(checkpoint("stanford"))
    assert found.layout == "stanford"
    assert (found.settings.query_prefix, found.settings.query_length) == ("[unused0]", 24)
    assert found.sources["query_length"] == "artifact.metadata"
    assert len(found.settings.skiplist_words) == 32  # PyLate leaves mask_punctuation alone


def test_sentence_transformers_prompts_become_prefix_tokens(checkpoint: Callable[[str], Path]) -> None:
    found = read(checkpoint("st6-fixed"))
    assert found.layout == "sentence-transformers"
    assert (found.settings.query_prefix, found.settings.document_prefix) == ("[Q] ", "[D] ")
    assert found.settings.prompts == {}
    assert found.skip_policy == "drop"


@pytest.mark.parametrize("change_to", [{"query_length": 0}, {"document_length": "long"}, {"query_length": True}])
def test_unusable_values_are_refused(copy: Callable[[str], Path], change_to: dict[str, object]) -> None:
    with pytest.raises(SettingError, match="not a valid value"):
        read(change(copy("bert-pylate"), **change_to))


def test_a_default_prompt_that_does_not_exist_is_refused(copy: Callable[[str], Path]) -> None:
    with pytest.raises(SettingError, match="default_prompt_name is 'nope'"):
        read(change(copy("bert-pylate"), prompts={"query": "q: "}, default_prompt_name="nope"))
