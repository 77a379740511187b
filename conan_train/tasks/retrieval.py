"""Contrastive data: from row numbers to the batch of a step.

Training data are row numbers; texts are token ids on disk. Which documents are positives, which share a group
and what was mined is all in integer arrays, so the false negatives of a batch are excluded by comparing
numbers. Excluded for a query are its known positives and its own documents (those with its id or its text), and
whatever is of the group of one or has its text.
"""

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerFast

from conan_data.mining.arrays import RetrievalArrays
from conan_data.pairs.pair_set import PairSet
from conan_train.negatives.cursors import EMPTY
from conan_train.step.contrastive import NO_NEGATIVE, QueryBatch
from conan_train.tasks.plan import QueryPlan, choose_positives, joint_cells
from conan_train.tasks.token_cache import TokenRows, open_tokens

# B queries of a step, N negatives a query, U distinct documents, E positives of the queries of a step


@dataclass(frozen=True, kw_only=True)
class RetrievalTask:
    """Retrieval sets, weak pairs and labelled texts as one task of a training run."""

    name: str
    pairs: PairSet
    groups: np.ndarray
    """int32 [N], from `joint_groups`."""
    plan: QueryPlan
    query_tokens: TokenRows
    document_tokens: TokenRows
    num_negatives: int
    same_language: float
    seed: int
    homogeneous: tuple[str, ...] = ()

    @classmethod
    def open(
        cls,
        name: str,
        pairs: PairSet,
        *,
        tokenizer: PreTrainedTokenizerFast,
        cache: Path,
        max_length: int,
        query_prompt: str,
        document_prompt: str,
        batch_size: int,
        num_negatives: int,
        seed: int,
        same_language: float = 0.0,
        homogeneous: tuple[str, ...] = (),
        field: str = "batch_size",
    ) -> "RetrievalTask":
        """With the tokens from, or made into, the folder `cache`. `homogeneous` names what a batch holds one of:
        "source", "language". Raises `UserError`, which names the config's `field`, where no batch can be filled so.
        """
        return cls(
            name=name,
            pairs=pairs,
            groups=joint_groups(pairs.arrays),
            plan=query_plan(pairs, batch_size=batch_size, seed=seed, homogeneous=homogeneous, field=field),
            query_tokens=open_tokens(
                cache,
                pairs.data.queries,
                ("text",),
                tokenizer,
                prompt=query_prompt,
                max_length=max_length,
            ),
            document_tokens=open_tokens(
                cache,
                pairs.data.corpus,
                ("title", "text"),
                tokenizer,
                prompt=document_prompt,
                max_length=max_length,
            ),
            num_negatives=num_negatives,
            same_language=same_language,
            seed=seed,
            homogeneous=homogeneous,
        )

    def queries_at(self, step: int) -> np.ndarray:
        """Rows of the queries of the task's own step `step`, int64 [B]."""
        return self.plan.queries_at(step)

    def never_seen(self) -> dict[str, int]:
        """Queries of every source or language that fills no batch, by its name."""
        assert self.plan.cells is not None or not self.plan.never_seen()
        counts = {}
        for cell, count in self.plan.never_seen().items():
            query = int(np.argmax(self.plan.cells == cell))
            parts = [
                names[codes[query]]
                for codes, names in (_cells(self.pairs, kind) for kind in self.homogeneous)
            ]
            counts["/".join(parts)] = count
        return counts

    def query_ids(self, query_B: np.ndarray) -> list[str]:
        return self.pairs.data.queries.column("_id").take(query_B).to_pylist()

    def batch(self, step: int, query_B: np.ndarray, negative_row_BN: np.ndarray | None = None) -> QueryBatch:
        """The batch of `step`: its queries, one positive of each, and their current negatives (corpus rows,
        `EMPTY` where there is none; None for none at all).
        """
        if negative_row_BN is None:
            negative_row_BN = np.full((len(query_B), 0), EMPTY, np.int32)
        arrays = self.pairs.arrays
        row_E, offsets = _taken(arrays.positive_offsets, arrays.positive_rows, query_B)
        owner_E = np.repeat(np.arange(len(query_B)), np.diff(offsets))
        place_B = choose_positives(
            step,
            self.pairs.document_languages[row_E] == arrays.query_languages[query_B][owner_E],
            offsets,
            same_language=self.same_language,
            seed=self.seed,
        )
        positive_row_B = row_E[offsets[:-1] + place_B]
        row_U = np.unique(np.concatenate([positive_row_B, negative_row_BN[negative_row_BN != EMPTY]]))
        own_owner, own_row = arrays.take_queries(query_B).own()
        return _query_batch(
            query_tokens=self.query_tokens(query_B),
            document_tokens=self.document_tokens(row_U),
            row_U=row_U.astype(np.int64),
            group_U=self.groups[row_U].astype(np.int64),
            positives=np.searchsorted(row_U, positive_row_B),
            negatives=np.where(
                negative_row_BN == EMPTY, NO_NEGATIVE, np.searchsorted(row_U, negative_row_BN)
            ),
            known_row_K=np.concatenate([row_E, own_row]),
            owner_K=np.concatenate([owner_E, own_owner]),
            groups=self.groups,
        )


def _cells(pairs: PairSet, kind: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Of each query, the place of its source or language among these names."""
    if kind == "source":
        return pairs.query_sources, pairs.sources
    return pairs.arrays.query_languages, pairs.arrays.languages


def joint_groups(arrays: RetrievalArrays) -> np.ndarray:
    """int32 [N]: equal for documents that are of one group or of one text (up to case and white space), or
    linked by others that are; -1 for a document that is alone and has no group.
    """
    num_documents, num_groups = arrays.num_documents, int(arrays.groups.max(initial=-1)) + 1
    alone = arrays.groups < 0
    group_N = np.where(alone, num_groups + np.arange(num_documents), arrays.groups)
    label_N, before = group_N, None
    while before is None or (label_N != before).any():
        before = label_N
        for code_N in (arrays.texts, group_N):
            least = np.full(num_groups + num_documents, num_groups + num_documents, np.int64)
            np.minimum.at(least, code_N, label_N)
            label_N = least[code_N]
    is_only = np.bincount(label_N, minlength=1)[label_N] == 1
    return np.where(alone & is_only, -1, label_N).astype(np.int32)


def query_plan(
    pairs: PairSet,
    *,
    batch_size: int,
    seed: int,
    homogeneous: tuple[str, ...] = (),
    field: str = "batch_size",
) -> QueryPlan:
    """Which queries of `pairs` a step sees; raises `UserError`, which names the config's `field`, where no batch can
    be filled.
    """
    codes = [_cells(pairs, kind)[0] for kind in homogeneous]
    return QueryPlan(
        num_queries=pairs.num_queries,
        batch_size=batch_size,
        seed=seed,
        cells=joint_cells(*codes) if codes else None,
        field=field,
    )


def _query_batch(
    *,
    query_tokens: list[np.ndarray],
    document_tokens: list[np.ndarray],
    row_U: np.ndarray,
    group_U: np.ndarray,
    positives: np.ndarray,
    negatives: np.ndarray,
    known_row_K: np.ndarray,
    owner_K: np.ndarray,
    groups: np.ndarray,
) -> QueryBatch:
    """The only place that knows how the step wants its known positives."""
    order = np.argsort(owner_K, kind="stable")
    row_K, owner_K = known_row_K[order], owner_K[order]
    group_K = groups[row_K]
    num_queries, has_group = len(query_tokens), group_K >= 0
    return QueryBatch(
        query_tokens=query_tokens,
        document_tokens=document_tokens,
        document_rows=row_U,
        document_groups=group_U,
        positives=positives,
        negatives=negatives,
        known_rows=_split(row_K, owner_K, num_queries),
        known_groups=_split(group_K[has_group], owner_K[has_group], num_queries),
    )


def _taken(offsets: np.ndarray, values: np.ndarray, row_B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values of some compressed rows, and their offsets [B + 1]."""
    size_B = offsets[row_B + 1] - offsets[row_B]
    own = np.concatenate([[0], np.cumsum(size_B)])
    return values[np.arange(own[-1]) + np.repeat(offsets[row_B] - own[:-1], size_B)], own


def _split(values: np.ndarray, owners: np.ndarray, num_rows: int) -> list[np.ndarray]:
    """The values of each owner; `owners` ascend."""
    values = values.astype(np.int64)
    bounds = np.searchsorted(owners, np.arange(num_rows + 1)).tolist()
    return [values[start:end] for start, end in itertools.pairwise(bounds)]
