"""One contrastive step: a batch of token ids in, the loss with its graph and the free by-products out.

A batch names every document once; queries point at documents. The columns of the loss are the distinct
documents, so one that is the positive of one query and a negative of two others counts once in every
denominator. Backward, optimiser and schedules are the caller's.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch

from conan_train.losses.infonce import infonce_over
from conan_train.step.encode import embed_in_buckets
from conan_train.step.exclusion import excluded_documents

# B queries, N hard negatives a query, U distinct documents

NO_NEGATIVE = -1


@dataclasses.dataclass(frozen=True, kw_only=True)
class QueryBatch:
    """Queries and the distinct documents they use. Token lists are those of `encode_texts`, prompts and EOS
    included.
    """

    query_tokens: Sequence[Sequence[int]]
    """B token lists."""
    document_tokens: Sequence[Sequence[int]]
    """U token lists."""
    document_rows: np.ndarray
    """int64 [U]: the documents' rows in the corpus, all different."""
    document_groups: np.ndarray
    """int64 [U] group codes; -1 for a document that has no group."""
    positives: np.ndarray
    """int64 [B] in [0, U): the document chosen as each query's positive."""
    negatives: np.ndarray
    """int64 [B, N] in [0, U), or -1 where a query has run out of negatives."""
    known_rows: Sequence[Sequence[int]]
    """Corpus rows of all known positives of each query, in the batch or not."""
    known_groups: Sequence[Sequence[int]]
    """Group codes of those."""

    def __post_init__(self) -> None:
        num_queries, num_documents = len(self.query_tokens), len(self.document_tokens)
        assert num_queries and len(self.positives) == len(self.negatives) == num_queries
        assert len(self.known_rows) == len(self.known_groups) == num_queries
        assert len(self.document_rows) == len(self.document_groups) == num_documents
        assert len(np.unique(self.document_rows)) == num_documents, "a document is named twice"
        assert self.positives.min() >= 0 and self.positives.max() < num_documents
        assert self.negatives.ndim == 2 and not (self.negatives >= num_documents).any()


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepResult:
    """`loss` carries the graph; the rest is detached."""

    loss: torch.Tensor
    positive_scores: torch.Tensor
    """[B]: cosine of each query's positive."""
    negative_scores: torch.Tensor
    """[B, N]: cosines of each query's own negatives, NaN where there is none: today's score of what was
    mined.
    """
    accuracy: float
    """Share of queries whose positive no counted document beats."""
    num_documents: int
    """Columns of the loss."""
    num_excluded: int
    """Query-document cells left out as false negatives, own positives not counted."""


def contrastive_step(
    model: torch.nn.Module, batch: QueryBatch, *, temperature: float, budget: int
) -> StepResult:
    """Embeds the batch in buckets of `budget` padded tokens and takes InfoNCE over its documents; `model` as
    in `embed_in_buckets`.
    """
    num_queries = len(batch.query_tokens)
    vectors_ND = embed_in_buckets(model, [*batch.query_tokens, *batch.document_tokens], budget=budget)
    excluded_BU = excluded_documents(
        batch.document_rows,
        batch.document_groups,
        known_rows=batch.known_rows,
        known_groups=batch.known_groups,
    )
    device = vectors_ND.device
    result = infonce_over(
        vectors_ND[:num_queries],
        vectors_ND[num_queries:],
        torch.as_tensor(batch.positives, device=device),
        temperature=temperature,
        excluded_BC=torch.as_tensor(excluded_BU, device=device),
    )
    negative_BN = torch.as_tensor(batch.negatives, device=device)
    scores_BN = result.cosines.gather(1, negative_BN.clamp(min=0)).masked_fill(
        negative_BN == NO_NEGATIVE, torch.nan
    )
    return StepResult(
        loss=result.loss,
        positive_scores=result.positive_scores,
        negative_scores=scores_BN,
        accuracy=float(result.correct.float().mean()),
        num_documents=len(batch.document_tokens),
        num_excluded=int(result.excluded.sum()),
    )
