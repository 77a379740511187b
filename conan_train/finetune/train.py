"""`conan-train finetune`: from a decoder and retrieval sets to an embedding model, published with the log and the
negatives it was trained on.
"""

from pathlib import Path

import numpy as np

from conan_data import artifact
from conan_data.pairs.labelled import read_labelled
from conan_data.pairs.pair_set import PairSet, read_retrieval_sets
from conan_data.pairs.scored import read_scored
from conan_data.sources import expand, resolve
from conan_train.embedding.objective import ScoredTask, Tasks
from conan_train.embedding.train import Read, Run, train_embedder
from conan_train.finetune.config import FinetuneConfig
from conan_train.finetune.mining import make_miner
from conan_train.negatives.mined import Mined
from conan_train.negatives.refresh import Refresher
from conan_train.tasks.random_negatives import random_negatives
from conan_train.tasks.retrieval import RetrievalTask
from conan_train.tasks.sts import StsTask
from conan_train.trainlog import NAME, TrainLog


def finetune(config: FinetuneConfig) -> Path:
    """Trains, or goes on with an interrupted run, and publishes `model/`, `negatives/` and the log; returns
    the artifact's directory.
    """
    beside = [*config.classification.data, *config.sts.data]
    return train_embedder(
        config,
        command="conan-train finetune",
        inputs=[
            *(resolve(path, "retrieval") for path in config.data),
            *([config.negatives] if config.negatives else []),
            *(expand(beside) if beside else []),
        ],
        description="fine-tuning",
        read=lambda run: _read(config, run),
        refresher=lambda run: _refresher(config, run),
    )


def _read(config: FinetuneConfig, run: Run) -> Read:
    pairs = read_retrieval_sets(config.data, config.split, group_regex=config.group_regex)
    tasks: list[Mined | ScoredTask] = [_retrieval(config, run, pairs)]
    rows: list[artifact.Rows] = [pairs.rows()]
    if config.classification.data:
        labelled = read_labelled(
            config.classification.data,
            positives=config.classification.positives,
            text_field=config.classification.text_field,
            label_field=config.classification.label_field,
        )
        tasks.append(_classification(config, run, labelled))
        rows.append(labelled.rows())
    if config.sts.data:
        scored = read_scored(
            config.sts.data,
            first_field=config.sts.first_field,
            second_field=config.sts.second_field,
            score_field=config.sts.score_field,
        )
        sts = StsTask.open(
            "sts",
            scored,
            tokenizer=run.base.tokenizer,
            cache=run.token_cache,
            max_length=config.max_length,
            prompt=config.sts.prompt,
            batch_size=config.sts.batch_size,
            seed=config.seed,
            homogeneous=config.sts.homogeneous,
        )
        tasks.append(ScoredTask(task=sts, weight=config.sts.weight, temperature=config.sts.temperature))
        rows.append(scored.rows())
    return Read(Tasks(tasks, config.mix), rows)


def _retrieval(config: FinetuneConfig, run: Run, pairs: PairSet) -> Mined:
    task = RetrievalTask.open(
        "retrieval",
        pairs,
        tokenizer=run.base.tokenizer,
        cache=run.token_cache,
        max_length=config.max_length,
        query_prompt=config.query_prompt,
        document_prompt=config.document_prompt,
        batch_size=config.batch_size,
        num_negatives=config.num_negatives,
        seed=config.seed,
        same_language=config.same_language,
        homogeneous=config.homogeneous,
    )
    return Mined(
        task,
        weight=config.weight,
        store=run.directory / "negatives",
        rule=config.rule,
        row_QP=np.zeros((pairs.num_queries, 0), np.int32),
        given=config.negatives,
    )


def _classification(config: FinetuneConfig, run: Run, pairs: PairSet) -> Mined:
    own = config.classification
    task = RetrievalTask.open(
        "classification",
        pairs,
        tokenizer=run.base.tokenizer,
        cache=run.token_cache,
        max_length=config.max_length,
        query_prompt=own.query_prompt,
        document_prompt=own.document_prompt,
        batch_size=own.batch_size,
        num_negatives=own.num_negatives,
        seed=config.seed,
    )
    return Mined(
        task,
        weight=own.weight,
        store=run.directory / "negatives-classification",
        rule=config.rule,
        row_QP=random_negatives(pairs.arrays, own.num_negatives, seed=config.seed),
    )


def _refresher(config: FinetuneConfig, run: Run) -> Refresher | None:
    if not config.mine_every:
        return None
    return Refresher(
        embedder=run.base.trained.embedder,
        tokenizer=run.base.tokenizer,
        accelerator=run.accelerator,
        every=config.mine_every,
        miner_of=lambda mined: make_miner(
            config,
            mined.task.pairs,
            folder=run.directory / "work" / "refresh" / mined.name,
            device=str(run.accelerator.device),
        ),
        batch_tokens=config.bucket_tokens,
        log=TrainLog(run.directory / NAME),
    )
