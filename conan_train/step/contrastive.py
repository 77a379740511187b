"""Queries and documents as a task of a step: InfoNCE, and by-products that cost nothing.

A batch names every document once; queries point at documents. The columns of the loss are the distinct
documents, so one that is the positive of one query and a negative of two others counts once in every
denominator. A batch is the *global* one, the same on all ranks: so are the scores, and whoever moves negatives
by them moves them alike everywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from conan_train.losses.infonce import InfoNCE, Margin, infonce_over
from conan_train.losses.matryoshka import matryoshka
from conan_train.step.exclusion import excluded_documents
from conan_train.step.task import Sums, TaskLoss

# B queries, N hard negatives a query, U distinct documents, D dim

NO_NEGATIVE = -1


@dataclass(frozen=True, kw_only=True)
class QueryBatch:
    """Queries and the distinct documents they use. Token lists are those of `encode_texts`, prompts and EOS
    included.
    """

    query_tokens: Sequence[Sequence[int] | np.ndarray]
    """B token lists."""
    document_tokens: Sequence[Sequence[int] | np.ndarray]
    """U token lists."""
    document_rows: np.ndarray
    """int64 [U]: the documents' rows in the corpus, all different."""
    document_groups: np.ndarray
    """int64 [U] group codes; -1 for a document that has no group."""
    positives: np.ndarray
    """int64 [B] in [0, U): the document chosen as each query's positive."""
    negatives: np.ndarray
    """int64 [B, N] in [0, U), or -1 where a query has run out of negatives."""
    known_rows: Sequence[Sequence[int] | np.ndarray]
    """Corpus rows of all known positives of each query, in the batch or not."""
    known_groups: Sequence[Sequence[int] | np.ndarray]
    """Group codes of those."""

    def __post_init__(self) -> None:
        num_queries, num_documents = len(self.query_tokens), len(self.document_tokens)
        assert num_queries and len(self.positives) == len(self.negatives) == num_queries
        assert len(self.known_rows) == len(self.known_groups) == num_queries
        assert len(self.document_rows) == len(self.document_groups) == num_documents
        assert len(np.unique(self.document_rows)) == num_documents, "a document is named twice"
        assert self.positives.min() >= 0 and self.positives.max() < num_documents
        assert self.negatives.ndim == 2 and not (self.negatives >= num_documents).any()


@dataclass(frozen=True, kw_only=True)
class ContrastiveLoss(TaskLoss):
    """The scores are detached and those of the full width; `sums` has positive_score, negative_score (of own
    negatives), accuracy, excluded (cells a step) and random_loss.
    """

    positive_scores: torch.Tensor
    """[B]: cosine of each query's positive."""
    negative_scores: torch.Tensor
    """[B, N]: cosines of each query's own negatives, NaN where there is none: today's score of what was
    mined.
    """
    correct: torch.Tensor
    """bool [B]: no document that counts beats the positive."""
    num_excluded: torch.Tensor
    """Query-document cells left out as false negatives, own positives not counted."""
    random_loss: torch.Tensor
    """The loss if all documents scored the same: what a model that knows nothing has."""


@dataclass(frozen=True, kw_only=True)
class Contrastive:
    """A task of `take_step`."""

    batch: QueryBatch
    temperature: float | torch.Tensor
    """A tensor (what a `Temperature` gives) gets its gradient."""
    margin: Margin | None = None
    """Excludes probable false negatives by their score."""
    dims: Sequence[int] = ()
    """Matryoshka dims, the full width among them; none for the full width alone."""
    dim_weights: Sequence[float] | None = None
    """1 each unless given."""

    @property
    def token_lists(self) -> list[Sequence[int] | np.ndarray]:
        return [*self.batch.query_tokens, *self.batch.document_tokens]

    def loss(self, vectors_ND: torch.Tensor) -> ContrastiveLoss:
        batch, device = self.batch, vectors_ND.device
        num_queries = len(batch.query_tokens)
        target_B = torch.as_tensor(batch.positives, device=device)
        excluded_BU = torch.as_tensor(
            excluded_documents(
                batch.document_rows,
                batch.document_groups,
                known_rows=batch.known_rows,
                known_groups=batch.known_groups,
            ),
            device=device,
        )

        def loss_of(vectors_ND: torch.Tensor) -> tuple[torch.Tensor, InfoNCE]:
            result = infonce_over(
                vectors_ND[:num_queries],
                vectors_ND[num_queries:],
                target_B,
                temperature=self.temperature,
                excluded_BC=excluded_BU,
                margin=self.margin,
            )
            return result.loss, result

        loss, result = matryoshka(loss_of, dims=self.dims, weights=self.dim_weights)(vectors_ND)
        negative_BN = torch.as_tensor(batch.negatives, device=device)
        missing_BN = negative_BN == NO_NEGATIVE
        scores_BN = result.cosines.gather(1, negative_BN.clamp(min=0))
        num_excluded = result.excluded.sum()
        factor = sum(self.dim_weights or (1.0,) * max(1, len(self.dims)))
        random_loss = factor * (~result.excluded).sum(1).log().mean()
        sums: Sums = {
            "positive_score": (result.positive_scores.sum(), num_queries),
            "negative_score": (scores_BN.masked_fill(missing_BN, 0.0).sum(), (~missing_BN).sum()),
            "accuracy": (result.correct.sum(), num_queries),
            "excluded": (num_excluded, 1),
            "random_loss": (random_loss, 1),
            "loss": (loss.detach(), 1),
        }
        return ContrastiveLoss(
            loss=loss,
            sums=sums,
            positive_scores=result.positive_scores,
            negative_scores=scores_BN.masked_fill(missing_BN, torch.nan),
            correct=result.correct,
            num_excluded=num_excluded,
            random_loss=random_loss,
        )
