"""The terms of the loss, against their definitions."""

import pytest
import torch
from recipe import losses


def vectors(*shape: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(*shape, generator=generator), dim=-1)


def masks(*lengths: int) -> torch.Tensor:
    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


def test_maxsim_is_the_mean_of_best_cosines_without_padding() -> None:
    queries, documents = vectors(3, 4, 8, seed=1), vectors(2, 5, 8, seed=2)
    query_mask, document_mask = masks(1, 4, 2), masks(5, 3)
    scores = losses.maxsim(queries, query_mask, documents, document_mask)
    for i, query in enumerate(queries):
        for j, document in enumerate(documents):
            cosines = query[query_mask[i]] @ document[document_mask[j]].T
            assert scores[i, j].item() == pytest.approx(cosines.amax(dim=1).mean().item(), abs=1e-6)


def test_maxsim_passes_gradients_to_the_best_tokens_alone() -> None:
    queries, documents = vectors(1, 1, 4, seed=3), vectors(1, 6, 4, seed=4).requires_grad_()
    losses.maxsim(queries, masks(1), documents, masks(6)).sum().backward()
    best = int((documents[0] @ queries[0, 0]).argmax())
    assert documents.grad is not None
    assert documents.grad[0].abs().sum(dim=1).nonzero().flatten().tolist() == [best]


def test_ranking_is_zero_where_the_distributions_agree() -> None:
    teacher = torch.rand(4, 4, generator=torch.Generator().manual_seed(0))
    shifted = teacher * losses.STUDENT_TEMPERATURE / losses.TEACHER_TEMPERATURE + 0.3
    assert losses.ranking(shifted, teacher).item() == pytest.approx(0, abs=1e-5)
    assert losses.ranking(-teacher, teacher).item() > 1


def test_a_document_that_may_answer_too_is_no_negative() -> None:
    student = torch.tensor([[0.5, 0.9], [0.1, 0.5]])
    none = torch.zeros(2, 2, dtype=torch.bool)
    other = torch.tensor([[False, True], [False, False]])
    assert losses.pairs(student, other).item() == pytest.approx(0, abs=1e-4)
    assert losses.pairs(student, other | torch.eye(2, dtype=torch.bool)).item() == pytest.approx(0, abs=1e-4)
    assert losses.pairs(student, none).item() == pytest.approx(0.5 * 0.4 / losses.STUDENT_TEMPERATURE, rel=1e-3)


def test_the_teacher_prefers_what_it_scores_clearly_higher() -> None:
    teacher = torch.tensor([[0.5, 0.5 + 2 * losses.TRUSTED], [0.5 + losses.TRUSTED / 2, 0.5]])
    assert losses.preferred(teacher).tolist() == [[False, True], [False, False]]


def test_tokens_counts_no_padding() -> None:
    student, target = vectors(2, 3, 8, seed=5), vectors(2, 3, 8, seed=6)
    mask = masks(3, 1)
    expected = torch.cat([1 - (student[0] * target[0]).sum(-1), 1 - (student[1, :1] * target[1, :1]).sum(-1)]).mean()
    assert losses.tokens(student, target, mask).item() == pytest.approx(expected.item(), abs=1e-6)
    assert losses.tokens(student, target, torch.zeros(2, 3, dtype=torch.bool)).item() == 0
