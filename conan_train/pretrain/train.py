"""`conan-train pretrain`: from a model and a corpus to a language model, with its log and what it predicts of
documents that it never saw.

Of a distributed run the main process reads the corpus and publishes; the others read the token ids that it
wrote and take their rows.
"""

import json
import logging
import math
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from transformers import PreTrainedTokenizerFast

from conan_data import artifact
from conan_data.errors import UserError
from conan_train import corpus
from conan_train.device import make_accelerator
from conan_train.model.folder import model_folder, model_input
from conan_train.model.tokenization import load_tokenizer
from conan_train.optim.schedule import lr_at
from conan_train.pretrain.config import PretrainConfig
from conan_train.pretrain.held_out import choose_held_out, measure
from conan_train.pretrain.model import load_language_model
from conan_train.pretrain.objective import NextToken
from conan_train.pretrain.packing import Rows
from conan_train.pretrain.tokens import Tokens, read_tokens, tokenize
from conan_train.training.loop import Loop
from conan_train.training.parallel import distribute

log = logging.getLogger(__name__)

KIND = "language-model"
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
)


@dataclass(frozen=True)
class _Task:
    """What the main process tells the others."""

    directory: str
    tokens: str


@dataclass(frozen=True)
class _Outcome:
    num_steps: int
    held_out: np.ndarray
    """bool [N]: the documents that were not trained on."""
    before: dict[str, dict[str, float]]
    after: dict[str, dict[str, float]]


def pretrain(config: PretrainConfig) -> Path:
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
        return _follow(config, accelerator)
    inputs: list[str | Path] = [model_input(config.model), *corpus.inputs(config.corpus)]
    with artifact.building(
        config, kind=KIND, command="conan-train pretrain", inputs=inputs, resume=True
    ) as build:
        if build.done:
            broadcast_object_list([None])
            return build.out
        folder = model_folder(config.model)
        tokens = _tokens(config, load_tokenizer(folder), build.work / "tokens")
        task = _Task(str(build.dir), str(build.work / "tokens"))
        broadcast_object_list([asdict(task)])
        outcome = _run(config, accelerator, tokens, task)
        _finish(build.dir, folder, outcome)
        rows = artifact.Rows(
            read=tokens.tally.read,
            kept=int((~outcome.held_out).sum()),
            dropped={**tokens.tally.dropped, "held-out": int(outcome.held_out.sum())},
        )
        return build.publish(
            rows=rows,
            extra={"steps": outcome.num_steps, "trained_tokens": outcome.num_steps * config.batch_tokens},
        )


def _follow(config: PretrainConfig, accelerator: Accelerator) -> Path:
    """The part of every process but the main one."""
    told = [None]
    broadcast_object_list(told)
    if told[0] is not None:
        task = _Task(**told[0])
        _run(config, accelerator, read_tokens(Path(task.tokens)), task)
    return Path(config.out)


def _run(config: PretrainConfig, accelerator: Accelerator, tokens: Tokens, task: _Task) -> _Outcome:
    """Measures, trains, measures again; the main process saves the model."""
    folder = model_folder(config.model)
    tokenizer = load_tokenizer(folder)
    model = load_language_model(folder, config, vocab_size=len(tokenizer))
    held_out = choose_held_out(tokens.places, tokens.languages, share=config.held_out)
    rows = Rows(
        tokens.ids, tokens.starts, np.flatnonzero(~held_out), length=config.sequence_length, seed=config.seed
    )
    if not rows.per_epoch:
        raise UserError(
            f"corpus: {int(tokens.starts[-1]):,} tokens in all are too few for one row of {config.sequence_length}; lower sequence_length"
        )
    num_steps = config.steps or math.ceil(config.epochs * rows.per_epoch / config.batch_rows)
    lr_at(
        0, config.optim, num_steps=num_steps
    )  # refuses a schedule that does not fit, before anything is written
    log.info(
        "%s documents, %s tokens; %d steps are %.2f epochs",
        *(
            f"{(~held_out).sum():,}",
            f"{int(tokens.lengths[~held_out].sum()):,}",
            num_steps,
            num_steps * config.batch_rows / rows.per_epoch,
        ),
    )
    called = distribute(model, accelerator, parallel=config.parallel)
    objective = NextToken(config, rows, model=called, accelerator=accelerator)
    loop = Loop(
        config,
        objective,
        model=model,
        accelerator=accelerator,
        num_steps=num_steps,
        directory=Path(task.directory),
    )
    loop.resume()

    def measured() -> dict[str, dict[str, float]]:
        batch_rows = max(1, config.micro_batch_tokens // config.sequence_length)
        length = config.sequence_length
        return measure(
            called, tokens, held_out, tokenizer.backend_tokenizer, length=length, batch_rows=batch_rows
        )

    before = objective.extra.get("held_out_before") or measured()
    objective.extra["held_out_before"] = before
    loop.train("pretraining")
    after = measured()
    if accelerator.is_main_process:
        model.save_pretrained(Path(task.directory) / "model")
    return _Outcome(num_steps, held_out, before, after)


def _tokens(config: PretrainConfig, tokenizer: PreTrainedTokenizerFast, folder: Path) -> Tokens:
    backend, eos_id = tokenizer.backend_tokenizer, tokenizer.eos_token_id
    tokens = tokenize(config.corpus, backend, folder, eos_id=eos_id, vocab_size=len(tokenizer))
    corpus.require_some(tokens.tally, config.corpus)
    return tokens


def _finish(directory: Path, folder: Path, outcome: _Outcome) -> None:
    """Puts the tokenizer beside the model, and the measurements into a file and on the screen."""
    for name in TOKENIZER_FILES:
        if (folder / name).is_file():
            shutil.copyfile(folder / name, directory / "model" / name)
    measured = {"before": outcome.before, "after": outcome.after}
    (directory / "held_out.json").write_text(
        json.dumps(measured, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    for lang, row in outcome.after.items():
        was = outcome.before[lang]
        log.info(
            "%s: held out, %.3f bits a byte (before %.3f), perplexity a character %.3f (before %.3f)",
            *(
                lang,
                row["bits_per_byte"],
                was["bits_per_byte"],
                row["perplexity_per_character"],
                was["perplexity_per_character"],
            ),
        )
    shutil.rmtree(directory / "checkpoints", ignore_errors=True)
