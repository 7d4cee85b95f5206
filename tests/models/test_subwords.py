"""The vocabulary's cut, on a tiny Unigram tokenizer."""

import json
from typing import Any

import numpy as np
import pytest
from recipe.encoder import add_tokens, prompt_row
from recipe.errors import FormatError
from recipe.subwords import choose, cut_tokenizer, is_kept_character, subword_shares, word_forms
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
SUBWORDS = [
    ("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -3.0), ("▁quelle", -4.0), ("▁que", -4.5),
    ("l", -5.0), ("le", -5.5), ("q", -7.0), ("u", -7.0), ("e", -6.0), (":", -3.5), ("猫", -9.0), ("▁猫", -9.0),
    ("ß", -9.0), ("β", -9.0), ("€", -9.0), ("<mask>", 0.0),
]  # fmt: skip


@pytest.fixture
def original() -> dict[str, Any]:
    """``tokenizer.json`` with XLM-R's parts."""
    tokenizer = Tokenizer(models.Unigram(SUBWORDS, unk_id=3))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in SPECIAL])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.enable_truncation(8)
    content: dict[str, Any] = json.loads(tokenizer.to_str())
    return content


def subwords(document: dict[str, Any]) -> list[str]:
    return [subword for subword, _ in document["model"]["vocab"]]


def load(document: dict[str, Any]) -> Tokenizer:
    return Tokenizer.from_str(json.dumps(document))


def cut_without(original: dict[str, Any], *dropped: str) -> dict[str, Any]:
    keep = np.array([i for i, subword in enumerate(subwords(original)) if subword not in dropped])
    return cut_tokenizer(original, keep)


def test_a_text_of_kept_pieces_has_the_same_pieces(original: dict[str, Any]) -> None:
    cut = load(cut_without(original, "猫", "▁猫", "le"))
    assert cut.encode("quelle: ß").tokens == load(original).encode("quelle: ß").tokens


def test_a_dropped_piece_falls_into_smaller_ones(original: dict[str, Any]) -> None:
    cut = load(cut_without(original, "▁quelle"))
    assert cut.encode("quelle").tokens == ["<s>", "▁que", "l", "le", "</s>"]


def test_ids_are_counted_anew_everywhere(original: dict[str, Any]) -> None:
    document = cut_without(original, "▁quelle", "猫", "▁猫")
    cut = load(document)
    assert cut.get_vocab_size() == len(SUBWORDS) - 3
    assert cut.token_to_id("<mask>") == len(SUBWORDS) - 4
    assert cut.encode("猫").ids == [0, cut.token_to_id("▁"), cut.token_to_id("<unk>"), 2]
    assert document["post_processor"]["special_tokens"]["</s>"]["ids"] == [cut.token_to_id("</s>")]


def test_the_cut_leaves_truncation_to_its_reader(original: dict[str, Any]) -> None:
    assert original["truncation"] is not None
    assert cut_without(original)["truncation"] is None


def test_another_model_is_refused(original: dict[str, Any]) -> None:
    with pytest.raises(FormatError, match="WordPiece"):
        cut_tokenizer({**original, "model": {**original["model"], "type": "WordPiece"}}, np.arange(3))


@pytest.mark.parametrize("character", list("aßæŁαΩ0½€$.,:;!?«»—_{}|~→≤²©😀"))
def test_characters_of_the_seven_languages_and_symbols_stay(character: str) -> None:
    assert is_kept_character(character)


@pytest.mark.parametrize("character", list("猫дのक。、한ا๓"))
def test_other_scripts_have_to_earn_their_place(character: str) -> None:
    assert not is_kept_character(character)


def test_choose_takes_the_most_used_and_what_must_stay() -> None:
    names = ["<s>", "▁", "haus", "猫", "▁ein", "ß", "▁ß", "tür"]
    use = np.array([0, 0, 5.0, 9.0, 7.0, 0, 0, 1.0])
    kept = choose(names, ["<s>"], use, 6)
    assert [names[i] for i in kept] == ["<s>", "▁", "haus", "猫", "▁ein", "tür"]  # no ß occurs
    use[5] = 0.1
    kept = choose(names, ["<s>"], use, 5)
    assert [names[i] for i in kept] == ["<s>", "▁", "猫", "▁ein", "ß"]
    with pytest.raises(FormatError, match="too small for 3"):
        choose(names, ["<s>"], use, 2)


def test_shares_weigh_texts_and_sum_to_one(original: dict[str, Any]) -> None:
    tokenizer = load(original)
    tokenizer.no_truncation()
    shares = subword_shares(tokenizer, [("quelle", 3.0), ("que", 1.0)])
    assert shares.sum() == pytest.approx(1)
    assert shares[tokenizer.token_to_id("▁quelle")] == pytest.approx(0.75)
    assert shares[tokenizer.token_to_id("▁que")] == pytest.approx(0.25)


def test_german_nouns_are_capitalised_more_often() -> None:
    german = dict(word_forms([("haus", 1.0)], "de"))
    dutch = dict(word_forms([("haus", 1.0)], "nl"))
    assert set(german) == {"haus", "Haus", "HAUS"}
    assert german["Haus"] > dutch["Haus"] > dutch["HAUS"] > 0


def test_prefix_tokens_come_after_the_vocabulary(original: dict[str, Any]) -> None:
    add_tokens(original, ["[Q] ", "[D] "])
    tokenizer = load(original)
    assert tokenizer.token_to_id("[Q] ") == len(SUBWORDS)
    assert tokenizer.token_to_id("[D] ") == len(SUBWORDS) + 1


def test_a_prefix_token_starts_as_the_mean_of_its_prompt(original: dict[str, Any]) -> None:
    embeddings = np.random.default_rng(0).normal(size=(len(SUBWORDS), 4)).astype(np.float32)
    tokenizer = load(original)
    expected = (embeddings[tokenizer.token_to_id("▁que")] + embeddings[tokenizer.token_to_id(":")]) / 2
    np.testing.assert_allclose(prompt_row(tokenizer, embeddings, "que: "), expected, rtol=1e-6)
