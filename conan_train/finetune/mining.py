"""What a fine-tuning's config says about mining, for the trainer and for whoever mines beside it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from conan_data.config import parse_memory
from conan_data.mining.search.exact import ExactSearcher
from conan_data.pairs.labelled import read_labelled
from conan_data.pairs.pair_set import PairSet, read_retrieval_sets
from conan_train.finetune.config import FinetuneConfig
from conan_train.negatives.depth.budget import refresh_budget
from conan_train.negatives.depth.window import WindowMiner
from conan_train.negatives.miner import FullMiner, Miner
from conan_train.negatives.sharing import SharedShards
from conan_train.tasks.plan import QueryPlan, turns_before
from conan_train.tasks.retrieval import query_plan

RETRIEVAL, CLASSIFICATION = "retrieval", "classification"
STORES = {RETRIEVAL: "negatives", CLASSIFICATION: "negatives-classification"}
"""Folder below the run of each task's generations."""


@dataclass(frozen=True, kw_only=True)
class MinedSet:
    """A task's data as a miner sees them: no tokens, no model."""

    name: str
    pairs: PairSet
    plan: QueryPlan
    num_negatives: int

    @property
    def store(self) -> str:
        return STORES[self.name]


def mined_sets(config: FinetuneConfig) -> list[MinedSet]:
    """All tasks of a run that have negatives, the main one first."""
    found = []
    if config.num_negatives:
        pairs = retrieval_pairs(config)
        plan = query_plan(
            pairs, batch_size=config.batch_size, seed=config.seed, homogeneous=config.homogeneous
        )
        found.append(MinedSet(name=RETRIEVAL, pairs=pairs, plan=plan, num_negatives=config.num_negatives))
    own = config.classification
    if own.data and own.num_negatives:
        pairs = classification_pairs(config)
        plan = query_plan(pairs, batch_size=own.batch_size, seed=config.seed)
        found.append(MinedSet(name=CLASSIFICATION, pairs=pairs, plan=plan, num_negatives=own.num_negatives))
    return found


def retrieval_pairs(config: FinetuneConfig) -> PairSet:
    """The retrieval sets of a run, joined."""
    return read_retrieval_sets(config.data, config.split, group_regex=config.group_regex)


def classification_pairs(config: FinetuneConfig) -> PairSet:
    """The labelled texts of a run."""
    return read_labelled(
        config.classification.data,
        positives=config.classification.positives,
        text_field=config.classification.text_field,
        label_field=config.classification.label_field,
    )


def window(config: FinetuneConfig, mined: MinedSet, step: int) -> np.ndarray:
    """Rows of the queries of the `mine_every` steps from `step` on."""
    first, last = step, step + config.mine_every
    if config.mix == "in-turns":
        weights = [config.weight]
        weights += [config.classification.weight] if config.classification.data else []
        weights += [config.sts.weight] if config.sts.data else []
        place = 0 if mined.name == RETRIEVAL else 1
        first, last = (int(turns_before(end, weights)[place]) for end in (first, last))
    return mined.plan.queries_between(first, last)


def make_miner(
    config: FinetuneConfig,
    pairs: PairSet,
    *,
    max_length: int,
    folder: Path,
    device: str,
    shared: Callable[[int], SharedShards] | None = None,
) -> Miner:
    """The miner of a set, with `folder` for what it keeps and a search on `device`; one that encodes everything does
    so with all that take part in the `shared` vectors of a step.
    """
    memory = parse_memory(config.memory)
    if config.refresh.depth == "full":
        return FullMiner(
            pairs=pairs,
            selection=config.select,
            memory=memory,
            device=device,
            folder=folder,
            shared=shared,
        )
    budget = refresh_budget(
        share=config.refresh.budget,
        steps=config.mine_every,
        batch_size=config.batch_size,
        num_negatives=config.num_negatives,
        queries=pairs.data.queries,
        corpus=pairs.data.corpus,
        max_length=max_length,
    )
    return WindowMiner(
        pairs=pairs,
        selection=config.select,
        num_negatives=config.num_negatives,
        searcher=ExactSearcher(memory=memory, device=device),
        folder=folder,
        budget=budget.documents,
        query_cost=budget.query_cost,
        full_up_to=config.refresh.full_up_to,
        sample=config.refresh.sample,
        max_error=config.refresh.max_error,
    )
