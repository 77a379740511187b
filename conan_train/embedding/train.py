"""The frame of the stages that train vectors: open the model, read the tasks, run the loop, publish."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import set_seed

from conan_data import artifact
from conan_data.distributed import Ranks
from conan_data.models.locate import model_input
from conan_data.pairs.pair_set import PairSet
from conan_data.pairs.store import load_pairs, shared_pairs
from conan_data.readers.account import Account, merged
from conan_data.sources import resolve
from conan_train.embedding.base import Base, alpha, open_base
from conan_train.embedding.config import EmbeddingConfig
from conan_train.embedding.objective import EmbeddingObjective, Tasks
from conan_train.model.contract import write_contract
from conan_train.model.lora import merge_lora
from conan_train.negatives.follow import Follower
from conan_train.negatives.inbox import Inbox
from conan_train.negatives.refresh import Refresher
from conan_train.tasks.retrieval import RetrievalTask
from conan_train.training.evaluations import Evaluator
from conan_train.training.loop import Loop
from conan_train.training.parallel import distribute, whole_state
from conan_train.training.run import OpenRun, open_run

log = logging.getLogger(__name__)

KIND = "embedder"


@dataclass(frozen=True)
class Read:
    """The tasks of a run, and what became of their rows and columns."""

    tasks: Tasks
    rows: Sequence[artifact.Rows]
    accounts: Sequence[Account] = ()


@dataclass(frozen=True)
class Run:
    """Where a run's tasks find what they need."""

    config: EmbeddingConfig
    base: Base
    directory: Path
    token_cache: Path
    accelerator: Accelerator
    ranks: Ranks

    def pairs(self, name: str, make: Callable[[], PairSet]) -> PairSet:
        """The set that `make` reads; the leader alone does it, and all processes map one copy of it."""
        folder = self.directory / "work" / "pairs" / name
        self.ranks.lead(lambda: shared_pairs(folder, make).num_queries)
        return load_pairs(folder)

    def contrastive(
        self, name: str, pairs: PairSet, *, batch_size: int, num_negatives: int, **options: Any
    ) -> RetrievalTask:
        """`pairs` as a task, with the run's tokenizer, prompts, maximum length and seed; `options` as in
        `RetrievalTask.open`, in place of these.
        """
        contract = self.base.contract
        own = {
            "query_prompt": contract.query_prompt,
            "document_prompt": contract.document_prompt,
            "max_length": contract.max_length,
            "seed": self.config.seed,
        }
        return RetrievalTask.open(
            name,
            pairs,
            tokenizer=self.base.tokenizer,
            cache=self.token_cache,
            batch_size=batch_size,
            num_negatives=num_negatives,
            **{**own, **options},
        )


def train_embedder(
    config: EmbeddingConfig,
    *,
    command: str,
    inputs: Callable[[], Sequence[str | Path]],
    description: str,
    read: Callable[[Run], Read],
    refresher: Callable[[Run], Refresher | Follower | None] = lambda run: None,
) -> Path:
    """Trains, or goes on with an interrupted run, and publishes `model/`, the negatives and the log; returns the
    artifact's directory.
    """
    with open_run(
        config,
        kind=KIND,
        command=command,
        inputs=lambda: [model_input(config.model), *inputs(), *_dev_inputs(config)],
    ) as opened:
        if not opened.build.done:
            _train(config, opened, description=description, read=read, refresher=refresher)
        if opened.ranks.is_leader:  # also of a run that was killed right after it was published
            Inbox(opened.build.out).remove()
    return Path(config.out)


def _train(
    config: EmbeddingConfig,
    opened: OpenRun,
    *,
    description: str,
    read: Callable[[Run], Read],
    refresher: Callable[[Run], Refresher | Follower | None],
) -> None:
    accelerator, directory = opened.accelerator, opened.build.dir
    base = open_base(config)
    cache = Path(config.token_cache) if config.token_cache else directory / "work" / "tokens"
    run = Run(config, base, directory, cache, accelerator, opened.ranks)
    data = read(run)
    if opened.ranks.is_leader:
        base.tell(config.model)
        _tell(data.tasks)
    set_seed(config.seed)
    settings = directory / "work" / "settings"
    if opened.ranks.is_leader:
        base.trained.embedder.save_settings(settings, tokenizer=base.tokenizer)

    def settings_at(step: int) -> Path:
        write_contract(settings, base.contract, alpha(step, config))
        return settings

    model = distribute(base.trained.embedder, accelerator, parallel=config.parallel)
    base.trained.to(accelerator.device)
    objective = EmbeddingObjective(
        config,
        data.tasks,
        trained=base.trained,
        model=model,
        accelerator=accelerator,
        refresher=refresher(run),
    )
    loop = Loop(
        config,
        objective,
        model=base.trained,
        accelerator=accelerator,
        num_steps=config.steps,
        directory=directory,
        settings=settings_at,
        extended_at=opened.extended_at,
        evaluator=_evaluator(run) if config.evaluate_every else None,
    )
    loop.resume()
    if objective.refresher is None:
        loop.train(description)
    else:
        objective.refresher.start(loop.step)
        try:
            loop.train(description)
        finally:
            objective.refresher.close()
    _save(config, base, directory, accelerator, step=loop.publish_weights())
    if opened.ranks.is_leader:
        extra = loop.account() | _account(objective) | merged(data.accounts).to_json()
        opened.build.publish(rows=_sum(data.rows), extra=extra)


def _dev_inputs(config: EmbeddingConfig) -> list[str | Path]:
    return [resolve(config.dev, "retrieval")] if config.dev else []


def _evaluator(run: Run) -> Evaluator:
    from conan_train.embedding.dev import (
        DevSet,
    )  # Loads what scores are made with, which not every run needs.

    return DevSet(
        run.config,
        run.base,
        folder=run.directory / "work" / "dev",
        accelerator=run.accelerator,
        ranks=run.ranks,
    )


def _save(
    config: EmbeddingConfig, base: Base, directory: Path, accelerator: Accelerator, *, step: int
) -> None:
    embedder = merge_lora(base.trained.embedder)
    embedder.mask.alpha = alpha(step, config)
    embedder.eval()
    state = whole_state(embedder.backbone, keep=accelerator.is_main_process)
    if accelerator.is_main_process:
        embedder.save(directory / "model", tokenizer=base.tokenizer, state=state)


def _sum(rows: Sequence[artifact.Rows]) -> artifact.Rows:
    dropped: Counter[str] = Counter()
    for part in rows:
        dropped.update(part.dropped)
    return artifact.Rows(
        read=sum(part.read for part in rows), kept=sum(part.kept for part in rows), dropped=dict(dropped)
    )


def _account(objective: EmbeddingObjective) -> dict[str, object]:
    """What the run did, for the manifest; times are in the log, for they differ between runs of the same job."""
    mined = objective.tasks.mined
    left_out = never_seen(objective.tasks)
    sets = {name: own for task in mined for name, own in task.task.pairs.sets.items()}
    return {
        "documents": sum(task.task.pairs.arrays.num_documents for task in mined),
        "refreshes": objective.refresher.num_refreshes if objective.refresher else 0,
        "generation": mined[0].generation.name if mined else "",
        **({"sets": sets} if sets else {}),
        "parameters": sum(parameter.numel() for parameter in objective.trained.embedder.parameters()),
        **({"never_seen": left_out} if left_out else {}),
    }


def never_seen(tasks: Tasks) -> dict[str, dict[str, int]]:
    """By task, the queries (or pairs) of every source or language that fills no homogeneous batch."""
    found = {task.name: task.task.never_seen() for task in tasks.all}
    return {name: cells for name, cells in found.items() if cells}


def _tell(tasks: Tasks) -> None:
    """Warn of what no step will see, and of sets without negatives beside sets that have them."""
    for mined in tasks.mined:
        if mined.task.num_negatives and (bare := mined.sources_without_negatives()):
            log.warning(
                "%s: no query of %s has a negative, while those of other sets have: they train with the other documents of "
                "a step alone; mine negatives for them, too",
                *(mined.name, ", ".join(bare)),
            )
    for name, cells in never_seen(tasks).items():
        most = sorted(cells.items(), key=lambda item: (-item[1], item[0]))
        some = ", ".join(f"{cell} {count}" for cell, count in most[:5])
        log.warning(
            "%s: %d queries are never trained on, for they fill no homogeneous batch (%s%s); lower its batch_size, or "
            "make its batches less homogeneous",
            *(name, sum(cells.values()), some, ", ..." if len(most) > 5 else ""),
        )
