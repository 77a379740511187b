"""`conan-train finetune`: from a decoder and retrieval sets to an embedding model, published with the log and the
negatives it was trained on.
"""

import logging
from pathlib import Path

import numpy as np

from conan_data import artifact
from conan_data.pairs.pair_set import PairSet
from conan_data.pairs.scored import read_scored
from conan_data.sources import expand, resolve
from conan_train.embedding.objective import ScoredTask, Tasks
from conan_train.embedding.train import Read, Run, train_embedder
from conan_train.finetune.config import FinetuneConfig
from conan_train.finetune.mining import (
    CLASSIFICATION,
    RETRIEVAL,
    STORES,
    classification_pairs,
    make_miner,
    retrieval_pairs,
)
from conan_train.negatives.follow import Follower
from conan_train.negatives.inbox import Inbox
from conan_train.negatives.mined import Mined
from conan_train.negatives.refresh import Refresher
from conan_train.negatives.snapshot import SnapshotWriter
from conan_train.negatives.worker import Worker, worker_device
from conan_train.tasks.random_negatives import random_negatives
from conan_train.tasks.sts import StsTask
from conan_train.trainlog import NAME, TrainLog

log = logging.getLogger(__name__)


def finetune(config: FinetuneConfig) -> Path:
    """Trains, or goes on with an interrupted run, and publishes `model/`, `negatives/` and the log; returns
    the artifact's directory.
    """
    return train_embedder(
        config,
        command="conan-train finetune",
        inputs=lambda: _inputs(config),
        description="fine-tuning",
        read=lambda run: _read(config, run),
        refresher=lambda run: _refresher(config, run),
    )


def _inputs(config: FinetuneConfig) -> list[str | Path]:
    return [
        *(resolve(path, "retrieval") for path in config.data),
        *([config.negatives] if config.negatives else []),
        *(file for files in (config.classification.data, config.sts.data) if files for file in expand(files)),
    ]


def _read(config: FinetuneConfig, run: Run) -> Read:
    pairs = run.pairs(RETRIEVAL, lambda: retrieval_pairs(config))
    tasks: list[Mined | ScoredTask] = [_retrieval(config, run, pairs)]
    rows: list[artifact.Rows] = [pairs.rows()]
    accounts = [pairs.account]
    if config.classification.data:
        labelled = run.pairs(CLASSIFICATION, lambda: classification_pairs(config))
        tasks.append(_classification(config, run, labelled))
        rows.append(labelled.rows())
        accounts.append(labelled.account)
    if config.sts.data:
        scored = read_scored(
            config.sts.data,
            first_field=config.sts.first_field,
            second_field=config.sts.second_field,
            score_field=config.sts.score_field,
            say=run.accelerator.is_main_process,
        )
        sts = StsTask.open(
            "sts",
            scored,
            tokenizer=run.base.tokenizer,
            cache=run.token_cache,
            max_length=run.base.contract.max_length,
            prompt=config.sts.prompt,
            batch_size=config.sts.batch_size,
            seed=config.seed,
            homogeneous=config.sts.homogeneous,
        )
        tasks.append(ScoredTask(task=sts, weight=config.sts.weight, temperature=config.sts.temperature))
        rows.append(scored.rows())
        accounts.append(scored.account)
    return Read(Tasks(tasks, config.mix), rows, accounts)


def _retrieval(config: FinetuneConfig, run: Run, pairs: PairSet) -> Mined:
    if config.num_negatives and not config.has_negatives and run.accelerator.is_main_process:
        log.warning(
            "no negatives are mined: num_negatives is %d, but mine_every is 0 and negatives is empty, so only the other "
            "documents of a step are negatives; set mine_every (such as 500) to mine while training, name the negatives "
            "of conan-data mine, or set num_negatives to 0 if this is meant",
            config.num_negatives,
        )
    task = run.contrastive(
        RETRIEVAL,
        pairs,
        batch_size=config.batch_size,
        num_negatives=config.num_negatives if config.has_negatives else 0,
        same_language=config.same_language,
        homogeneous=config.homogeneous,
    )
    return Mined(
        task,
        weight=config.weight,
        store=run.directory / STORES[RETRIEVAL],
        rule=config.rule,
        row_QP=np.zeros((pairs.num_queries, 0), np.int32),
        given=config.negatives,
    )


def _classification(config: FinetuneConfig, run: Run, pairs: PairSet) -> Mined:
    own = config.classification
    task = run.contrastive(
        CLASSIFICATION,
        pairs,
        batch_size=own.batch_size,
        num_negatives=own.num_negatives,
        query_prompt=own.query_prompt,
        document_prompt=own.document_prompt,
    )
    return Mined(
        task,
        weight=own.weight,
        store=run.directory / STORES[CLASSIFICATION],
        rule=config.rule,
        row_QP=random_negatives(pairs.arrays, own.num_negatives, seed=config.seed),
    )


def _refresher(config: FinetuneConfig, run: Run) -> Refresher | Follower | None:
    if not config.mine_every:
        return None
    if config.mine_mode != "inline":
        return _follower(config, run)
    return Refresher(
        embedder=run.base.trained.embedder,
        tokenizer=run.base.tokenizer,
        accelerator=run.accelerator,
        ranks=run.ranks,
        every=config.mine_every,
        miner_of=lambda mined: make_miner(
            config,
            mined.task.pairs,
            max_length=run.base.contract.max_length,
            folder=run.directory / "work" / "refresh" / mined.name,
            device=str(run.accelerator.device),
        ),
        batch_tokens=config.bucket_tokens,
        log=TrainLog(run.directory / NAME),
    )


def _follower(config: FinetuneConfig, run: Run) -> Follower:
    inbox, accelerator = Inbox(Path(config.out)), run.accelerator
    if accelerator.is_main_process:
        inbox.open(config)
    accelerator.wait_for_everyone()
    worker = Worker(
        out=inbox.out,
        device=worker_device(
            config.mine_device,
            num_processes=accelerator.num_processes,
            trains_on=accelerator.device.type,
        ),
        threads=config.threads,
        messages=inbox.folder / "worker.log",
    )
    return Follower(
        inbox=inbox,
        writer=SnapshotWriter(
            run.base.trained,
            inbox.weights,
            rank=accelerator.process_index,
            world_size=accelerator.num_processes,
        ),
        accelerator=accelerator,
        ranks=run.ranks,
        every=config.mine_every,
        look_every=config.mine_look_every,
        stale_after=config.mine_stale_after or 3 * config.mine_every,
        mode=config.mine_mode,
        log=TrainLog(run.directory / NAME),
        worker=worker if config.mine_mode == "process" else None,
    )
