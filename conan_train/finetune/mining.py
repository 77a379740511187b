"""What a fine-tuning's config says about mining, for the trainer and for whoever mines beside it."""

from pathlib import Path

from conan_data.config import parse_memory
from conan_data.mining.search import ExactSearcher
from conan_data.pairs.pair_set import PairSet
from conan_train.finetune.config import FinetuneConfig
from conan_train.negatives.depth.budget import refresh_budget
from conan_train.negatives.depth.window import WindowMiner
from conan_train.negatives.miner import FullMiner, Miner


def make_miner(config: FinetuneConfig, pairs: PairSet, *, folder: Path, device: str) -> Miner:
    """The miner of a set, with `folder` for what it keeps and a search on `device`."""
    memory = parse_memory(config.memory)
    if config.refresh.depth == "full":
        return FullMiner(pairs=pairs, selection=config.select, memory=memory, device=device, folder=folder)
    budget = refresh_budget(
        share=config.refresh.budget,
        steps=config.mine_every,
        batch_size=config.batch_size,
        num_negatives=config.num_negatives,
        queries=pairs.data.queries,
        corpus=pairs.data.corpus,
        max_length=config.max_length,
    )
    return WindowMiner(
        pairs=pairs,
        selection=config.select,
        num_negatives=config.num_negatives,
        searcher=ExactSearcher(memory=memory, device=device),
        folder=folder,
        budget=budget.documents,
        query_cost=budget.query_cost,
        sample=config.refresh.sample,
        max_error=config.refresh.max_error,
    )
