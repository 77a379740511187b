"""What a fine-tuning's config says about mining, for the trainer and for whoever mines beside it."""

from pathlib import Path

from conan_data.config import parse_memory
from conan_data.pairs.pair_set import PairSet
from conan_train.finetune.config import FinetuneConfig
from conan_train.negatives.miner import FullMiner, Miner


def make_miner(config: FinetuneConfig, pairs: PairSet, *, folder: Path, device: str) -> Miner:
    """The miner of a set, with `folder` for what it keeps and a search on `device`."""
    return FullMiner(
        pairs=pairs,
        selection=config.select,
        memory=parse_memory(config.memory),
        device=device,
        folder=folder,
    )
