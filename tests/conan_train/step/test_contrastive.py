"""The step against one text at a time in float64, and planted false negatives."""

import numpy as np
import pytest
import torch

from conan_train.model.embedder import Embedder
from conan_train.device import make_accelerator
from conan_train.step.contrastive import NO_NEGATIVE, Contrastive, ContrastiveLoss, QueryBatch
from conan_train.step.task import numbers, take_step

TEMPERATURE = 0.1


def step(embedder: Embedder, batch: QueryBatch, *, budget: int) -> ContrastiveLoss:
    """Leaves the gradients in place."""
    return take_step(
        embedder,
        [Contrastive(batch=batch, temperature=TEMPERATURE)],
        accelerator=make_accelerator("cpu", "no"),
        budget=budget,
    ).tasks[0]


def batch(
    seed: int = 0, *, num_queries: int = 5, num_documents: int = 14, num_negatives: int = 3
) -> QueryBatch:
    """Random texts; documents 0 and 1, the positives of queries 0 and 1, are translations (group 7); the
    others have groups of their own.

    Query 2 knows document 3 as a second positive; query 3 knows a document of group 108 that is not in the
    batch.
    """
    random = np.random.default_rng(seed)

    def text() -> list[int]:
        return [*random.integers(3, 50, size=random.integers(1, 12)).tolist(), 2]

    groups = np.array([7, 7, *range(102, 100 + num_documents)])
    rows = np.arange(num_documents) * 10
    positives = np.array([0, 1, 2, 4, 5])
    negatives = np.stack(
        [random.permutation(np.arange(6, num_documents))[:num_negatives] for _ in range(num_queries)]
    )
    negatives[4, 1:] = NO_NEGATIVE
    negatives[1, 0] = 0  # a stale pool that names a translation of query 1's positive
    return QueryBatch(
        query_tokens=[text() for _ in range(num_queries)],
        document_tokens=[text() for _ in range(num_documents)],
        document_rows=rows,
        document_groups=groups,
        positives=positives,
        negatives=negatives,
        known_rows=[[0], [10], [20, 30], [40, 999], [50]],
        known_groups=[[7], [7], [102, 103], [104, 108], [105]],
    )


def reference_loss(embedder: Embedder, batch: QueryBatch) -> torch.Tensor:
    """One text at a time, one cell at a time."""

    def embed(tokens: list[int]) -> torch.Tensor:
        return embedder(torch.tensor([tokens]), torch.ones(1, len(tokens)))[0]

    queries, documents = (
        [embed(tokens) for tokens in batch.query_tokens],
        [embed(tokens) for tokens in batch.document_tokens],
    )
    losses = []
    for i, query in enumerate(queries):
        total = own = torch.exp(query @ documents[batch.positives[i]] / TEMPERATURE)
        for j, document in enumerate(documents):
            known = (
                batch.document_rows[j] in batch.known_rows[i]
                or batch.document_groups[j] in batch.known_groups[i]
            )
            if j != batch.positives[i] and not known:
                total = total + torch.exp(query @ document / TEMPERATURE)
        losses.append(torch.log(total / own))
    return torch.stack(losses).mean()


@pytest.mark.parametrize("budget", [1, 24, 10_000])
def test_equals_one_text_at_a_time(embedder: Embedder, budget: int) -> None:
    data = batch()
    result = step(embedder, data, budget=budget)
    gradients = [parameter.grad.clone() for parameter in embedder.parameters()]
    embedder.zero_grad()
    expected = reference_loss(embedder, data)
    expected.backward()
    torch.testing.assert_close(result.loss, expected.detach(), rtol=0, atol=1e-11)
    for gradient, parameter in zip(gradients, embedder.parameters(), strict=True):
        assert parameter.grad.abs().max() > 1e-3
        torch.testing.assert_close(gradient, parameter.grad, rtol=0, atol=1e-10)


def test_reports_what_the_loss_saw(embedder: Embedder) -> None:
    data = batch()
    result = step(embedder, data, budget=64)

    @torch.no_grad()
    def embed(tokens: list[int]) -> torch.Tensor:
        return embedder(torch.tensor([tokens]), torch.ones(1, len(tokens)))[0]

    for i, tokens in enumerate(data.query_tokens):
        query = embed(tokens)
        assert result.positive_scores[i].item() == pytest.approx(
            float(query @ embed(data.document_tokens[data.positives[i]]))
        )
        for n, document in enumerate(data.negatives[i]):
            score = result.negative_scores[i, n]
            assert (
                torch.isnan(score)
                if document == NO_NEGATIVE
                else score.item() == pytest.approx(float(query @ embed(data.document_tokens[document])))
            )
    assert torch.isnan(result.negative_scores).sum() == 2
    # Queries 0 and 1 exclude each other's positive, query 2 document 3, query 3 the document of group 108.
    assert result.num_excluded == 4
    # Of 14 columns one (queries 0 to 3) or none is excluded.
    assert result.random_loss.item() == pytest.approx((4 * np.log(13) + np.log(14)) / 5)
    sums = numbers(result.sums)
    assert sums["positive_score"] == (pytest.approx(float(result.positive_scores.sum())), 5)
    assert sums["negative_score"] == (pytest.approx(float(result.negative_scores.nansum())), 13)
    assert sums["accuracy"] == (float(result.correct.sum()), 5) and sums["excluded"] == (4, 1)
    assert sums["loss"] == (pytest.approx(float(result.loss)), 1)


@pytest.mark.parametrize("planted", ["group", "known", "none"])
def test_a_false_negative_gets_no_push(embedder: Embedder, planted: str) -> None:
    """The gradient at a document nobody else uses: zero when it says the same as the positive, not zero
    otherwise.
    """
    data = QueryBatch(
        query_tokens=[[5, 6, 2]],
        document_tokens=[[7, 8, 2], [9, 10, 2], [40, 41, 2]],
        document_rows=np.array([0, 1, 2]),
        document_groups=np.array([3, 4, 3 if planted == "group" else 5]),
        positives=np.array([0]),
        negatives=np.array([[1, 2]]),
        known_rows=[[0, 2] if planted == "known" else [0]],
        known_groups=[[3]],
    )
    result = step(embedder, data, budget=100)
    push = embedder.backbone.embed_tokens.weight.grad[[40, 41]].abs().max().item()
    assert (push > 1e-4) if planted == "none" else (push == 0.0)
    assert embedder.backbone.embed_tokens.weight.grad[[9, 10]].abs().max() > 1e-4
    assert not torch.isnan(result.negative_scores).any()  # still scored, for the audit of the pool


def test_a_document_in_two_roles_counts_once(embedder: Embedder) -> None:
    """Query 1's positive is also a negative of query 0 and of query 1's neighbour: the same loss as when only
    drawn in the batch.
    """
    common = {
        "query_tokens": [[5, 6, 2], [11, 12, 2]],
        "document_tokens": [[7, 8, 2], [9, 10, 2], [13, 2]],
        "document_rows": np.array([0, 1, 2]),
        "document_groups": np.array([-1, -1, -1]),
        "positives": np.array([0, 1]),
        "known_rows": [[0], [1]],
        "known_groups": [[-1], [-1]],
    }
    twice = QueryBatch(**common, negatives=np.array([[1, 2], [2, 0]]))
    once = QueryBatch(**common, negatives=np.array([[2, -1], [2, -1]]))
    losses = [step(embedder, data, budget=100).loss.item() for data in (twice, once)]
    assert losses[0] == losses[1] > 0
