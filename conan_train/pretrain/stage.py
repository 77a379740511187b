"""A stage that trains a language model on packed rows: what pretraining and instruction tuning share.

The data are written once, below the stage's scratch folder, by the main process; every process reads them
from there, so all of them see the same rows. The model is measured on held-out data, trained, measured again,
and published with its tokenizer, its log and the measurements.
"""

import json
import logging
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from conan_data import artifact
from conan_data.errors import UserError
from conan_train.checkpoint.state import latest_checkpoint
from conan_train.device import make_accelerator
from conan_train.model.folder import model_folder
from conan_train.model.tokenization import load_tokenizer
from conan_train.optim.schedule import lr_at
from conan_train.pretrain.config import LanguageModelConfig
from conan_train.pretrain.loop import Grouping, Trainer
from conan_train.pretrain.model import load_language_model
from conan_train.pretrain.packing import PackedRows

log = logging.getLogger(__name__)

KIND = "language-model"
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
)
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
class _Task:
    """What the main process tells the others."""

    directory: str
    data: list[str]
    checkpoint: str | None


def run_stage(config: LanguageModelConfig, stage: Stage) -> Path:
    """Trains, or goes on with an interrupted run, and publishes `model/`, the log and `held_out.json`;
    returns the artifact's directory.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    accelerator = make_accelerator(config.device, config.precision)
    if config.batch_rows % accelerator.num_processes:
        raise UserError(
            f"batch_tokens: {config.batch_rows} rows do not divide among {accelerator.num_processes} processes"
        )
    if not accelerator.is_main_process:
        return _follow(config, stage, accelerator)
    inputs = [config.model, *stage.inputs()]
    with artifact.building(
        config, kind=KIND, command=f"conan-train {stage.name}", inputs=inputs, resume=True
    ) as build:
        if build.done:
            broadcast_object_list([None])
            return build.out
        folder = Path(model_folder(config.model))
        data = stage.write(folder, build.work)
        checkpoint = latest_checkpoint(build.dir / "checkpoints")
        task = _Task(str(build.dir), data, str(checkpoint) if checkpoint else None)
        broadcast_object_list([asdict(task)])
        extra, rows = _run(config, stage, accelerator, task)
        for name in TOKENIZER_FILES:
            if (folder / name).is_file():
                shutil.copyfile(folder / name, build.dir / "model" / name)
        shutil.rmtree(build.dir / "checkpoints", ignore_errors=True)
        return build.publish(rows=rows, extra=extra)


def _follow(config: LanguageModelConfig, stage: Stage, accelerator: Accelerator) -> Path:
    """The part of every process but the main one."""
    told: list[Any] = [None]
    broadcast_object_list(told)
    if told[0] is not None:
        _run(config, stage, accelerator, _Task(**told[0]))
    return Path(config.out)


def _run(
    config: LanguageModelConfig, stage: Stage, accelerator: Accelerator, task: _Task
) -> tuple[Mapping[str, Any], artifact.Rows]:
    """Measures, trains, measures again; the main process saves the model and the measurements."""
    folder, directory = Path(model_folder(config.model)), Path(task.directory)
    model = load_language_model(folder, config, vocab_size=len(load_tokenizer(folder)))
    data = stage.read(folder, task.data)
    rows = data.rows
    num_steps = config.steps or math.ceil(config.epochs * rows.per_epoch / config.batch_rows)
    lr_at(
        0, config.optim, num_steps=num_steps
    )  # refuses a schedule that does not fit, before anything is written
    num_rows = num_steps * config.batch_rows
    log.info("%d steps are %.2f epochs", num_steps, num_rows / rows.per_epoch)
    account = data.account(num_rows)
    trainer = Trainer(
        config,
        model=model,
        rows=rows,
        num_steps=num_steps,
        accelerator=accelerator,
        directory=directory,
        groupings=data.groupings,
        label=stage.name,
    )
    trainer.restore(Path(task.checkpoint) if task.checkpoint else None)
    before = trainer.extra.get("held_out_before") or data.measure(trainer.model)
    trainer.extra["held_out_before"] = before
    trainer.train()
    after = data.measure(trainer.model)
    if accelerator.is_main_process:
        trainer.bare.save_pretrained(directory / "model")
        measured = json.dumps({"before": before, "after": after}, indent=1, ensure_ascii=False)
        (directory / "held_out.json").write_text(measured + "\n", encoding="utf-8")
        data.describe(after, before)
    return {
        "steps": num_steps,
        "trained_tokens": num_steps * config.batch_tokens,
        **account,
    }, data.counts()
