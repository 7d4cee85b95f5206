"""Texts go without question and exclamation marks."""

import pytest
from recipe.marks import drop_marks
from tokenizers import Tokenizer, models, normalizers


@pytest.mark.parametrize("before", [None, normalizers.NFKC()])
def test_question_and_exclamation_marks_are_dropped(before: normalizers.Normalizer | None) -> None:
    tokenizer = Tokenizer(models.Unigram([("<unk>", 0.0), ("a", -1.0)], unk_id=0))
    if before:
        tokenizer.normalizer = before
    drop_marks(tokenizer)
    assert tokenizer.normalizer.normalize_str("Hola. ¿Qué tal? ¡Bien!") == "Hola. Qué tal Bien"
    assert tokenizer.normalizer.normalize_str("Comment faire ?") == "Comment faire"
    assert tokenizer.normalizer.normalize_str("ﬁne?") == ("fine" if before else "ﬁne")
