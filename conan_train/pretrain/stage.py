"""A stage that trains a language model on packed rows: what pretraining and instruction tuning share.

The data are written once, below the stage's scratch folder, by the main process; every process reads them
from there, so all of them see the same rows. The model is measured on held-out data, trained, measured again,
and published with its tokenizer, its log and the measurements.
"""

import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from conan_data import artifact
from conan_data.distributed import Ranks
from conan_data.errors import UserError
from conan_data.models.locate import find_model, model_input
from conan_train.model.flops import model_flops_per_token
from conan_train.model.settings import copy_tokenizer, write_config
from conan_train.model.tokenization import load_tokenizer
from conan_train.optim.schedule import lr_at
from conan_train.pretrain.config import LanguageModelConfig
from conan_train.pretrain.model import load_language_model
from conan_train.pretrain.objective import Grouping, NextToken
from conan_train.pretrain.packing import PackedRows
from conan_train.training.evaluations import Score
from conan_train.training.loop import Loop
from conan_train.training.parallel import distribute, whole_state
from conan_train.training.run import OpenRun, open_run

log = logging.getLogger(__name__)

KIND = "language-model"
Measured = dict[str, Any]
"""JSON of a measurement."""


class TrainingData(Protocol):
    """What a stage trains and measures on."""

    @property
    def rows(self) -> PackedRows: ...

    @property
    def groupings(self) -> Sequence[Grouping]:
        """Whose losses the log shows."""
        ...

    def measure(self, model: torch.nn.Module) -> Measured:
        """What `model` predicts of held-out data."""
        ...

    def describe(self, measured: Measured, before: Measured) -> None:
        """Puts two measurements into the log on the screen."""
        ...

    def account(self, num_rows: int) -> dict[str, Any]:
        """What the manifest says of the first `num_rows` rows; warns of what looks wrong."""
        ...

    def counts(self) -> artifact.Rows:
        """What became of the rows of the inputs."""
        ...


@dataclass(frozen=True)
class Stage:
    """How a stage gets its data."""

    name: str
    """As the command is called."""
    inputs: Callable[[], Sequence[str | Path]]
    write: Callable[[Path, Path], list[str]]
    """From the model's folder and a scratch folder to folders with the data; called by the main process."""
    read: Callable[[Path, list[str]], TrainingData]
    """From the model's folder and the folders that `write` returned to the data."""


@dataclass(frozen=True)
class _Outcome:
    """What a run says of itself, in the manifest."""

    rows: artifact.Rows
    extra: Mapping[str, Any]


def run_stage(config: LanguageModelConfig, stage: Stage) -> Path:
    """Trains, or goes on with an interrupted run, and publishes `model/`, the log and `held_out.json`;
    returns the artifact's directory.
    """
    with open_run(
        config,
        kind=KIND,
        command=f"conan-train {stage.name}",
        inputs=lambda: [model_input(config.model), *stage.inputs()],
    ) as run:
        if not run.build.done:
            outcome = _run(config, stage, run)
            if run.ranks.is_leader:
                _publish(config, run.build, outcome)
    return Path(config.out)


def _publish(config: LanguageModelConfig, build: artifact.Build, outcome: _Outcome) -> None:
    copy_tokenizer(find_model(config.model).folder, build.dir / "model")
    build.publish(rows=outcome.rows, extra=outcome.extra)


def _run(config: LanguageModelConfig, stage: Stage, run: OpenRun) -> _Outcome:
    """Measures, trains, measures again; the leader saves the model and the measurements."""
    accelerator, directory = run.accelerator, run.build.dir
    if config.batch_rows % run.ranks.world_size:
        raise UserError(
            f"batch_tokens: {config.batch_rows} rows do not divide among {run.ranks.world_size} processes"
        )
    folder = find_model(config.model).folder
    written = run.ranks.lead(lambda: stage.write(folder, directory / "work"))
    model = load_language_model(folder, config, tokenizer=load_tokenizer(folder))
    data = stage.read(folder, written)
    num_steps = config.steps or math.ceil(config.epochs * data.rows.per_epoch / config.batch_rows)
    lr_at(
        0, config.optim, num_steps=num_steps
    )  # refuses a schedule that does not fit, before anything is written
    num_rows = num_steps * config.batch_rows
    log.info("%d steps are %.2f epochs", num_steps, num_rows / data.rows.per_epoch)
    account = data.account(num_rows)
    flops = model_flops_per_token(model, length=config.sequence_length)
    settings = directory / "work" / "settings"
    if run.ranks.is_leader:
        write_config(model, settings)
        copy_tokenizer(folder, settings)
    called = distribute(model, accelerator, parallel=config.parallel)
    objective = NextToken(
        config,
        data.rows,
        model=torch.compile(called) if config.compile else called,  # type: ignore[arg-type]
        accelerator=accelerator,
        flops_per_token=flops,
        groupings=data.groupings,
    )
    loop = Loop(
        config,
        objective,
        model=model,
        accelerator=accelerator,
        num_steps=num_steps,
        directory=directory,
        settings=lambda step: settings,
        extended_at=run.extended_at,
        evaluator=_HeldOut(objective.model, data, run.ranks) if config.evaluate_every else None,
    )
    loop.resume()
    before = objective.extra.get("held_out_before") or data.measure(objective.model)
    objective.extra["held_out_before"] = before
    loop.train(stage.name)
    loop.publish_weights()
    if loop.step < num_steps:
        account = data.account(loop.step * config.batch_rows)
    after = data.measure(objective.model)
    state = whole_state(model, keep=accelerator.is_main_process)
    if accelerator.is_main_process:
        model.save_pretrained(directory / "model", state_dict=state)
        measured = json.dumps({"before": before, "after": after}, indent=1, ensure_ascii=False)
        (directory / "held_out.json").write_text(measured + "\n", encoding="utf-8")
        data.describe(after, before)
    trained = {**loop.account(), "trained_tokens": loop.step * config.batch_tokens}
    return _Outcome(data.counts(), {**trained, **account})


@dataclass(frozen=True)
class _HeldOut:
    """Scores a model on the held-out data of its stage: bits a byte, the mean over languages (or sources, in sft)."""

    model: torch.nn.Module
    data: TrainingData
    ranks: Ranks
    metric: str = "bits_per_byte"
    is_higher_better: bool = False

    def score(self, step: int) -> Score:
        measured = self.ranks.share(self.data.measure(self.model))
        own = {name: row[self.metric] for name, row in measured.items() if self.metric in row}
        return Score(sum(own.values()) / len(own), {self.metric: own})

    def counts(self, step: int) -> bool:
        return True
