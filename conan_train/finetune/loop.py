"""The training loop: one contrastive step after another, with the negatives following the model.

What a step sees is a function of the config, the step number and the state in the checkpoint (weights,
optimizer, generation of negatives, cursors), and of nothing else; so a run that was killed and resumed, also
across a refresh of its negatives, ends with the same weights, bit by bit on a CPU. The order within a step:
refresh if it is due; alpha and learning rate from the step; loss and update; then the rule moves the cursors
by the scores of that loss.
"""

import dataclasses
import logging
import time
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from conan_data.config import parse_memory
from conan_data.errors import UserError
from conan_data.mining.arrays import RetrievalArrays
from conan_data.pairs.pair_set import from_retrieval
from conan_data.progress import progress
from conan_data.retrieval import RetrievalSplit
from conan_train.checkpoint.state import latest_checkpoint, load_checkpoint, save_checkpoint
from conan_train.device import make_accelerator
from conan_train.finetune.config import FinetuneConfig
from conan_train.finetune.refresh import mine_generation
from conan_train.finetune.window import Window
from conan_train.model.embedder import Embedder
from conan_train.model.encoder import CheckpointEncoder
from conan_train.model.softmask import alpha_at
from conan_train.negatives.cursors import Cursors
from conan_train.negatives.generation import Generation, changed_share, load_generation
from conan_train.optim.groups import adamw, set_lr
from conan_train.optim.schedule import lr_at
from conan_train.step.contrastive import Contrastive, ContrastiveLoss
from conan_train.step.task import take_step
from conan_train.tasks.retrieval import RetrievalTask
from conan_train.trainlog import NAME, TrainLog

log = logging.getLogger(__name__)

# Q queries, B queries of a step, N negatives a query


class Trainer:
    """A run over one retrieval set, below `directory`: `checkpoints/`, `negatives/` and the log."""

    def __init__(
        self,
        config: FinetuneConfig,
        *,
        embedder: Embedder,
        tokenizer: PreTrainedTokenizerFast,
        data: RetrievalSplit,
        arrays: RetrievalArrays,
        directory: Path,
    ) -> None:
        self.config = config
        self.data, self.arrays = data, arrays
        self.directory = directory
        self.log = TrainLog(directory / NAME)
        self.accelerator = make_accelerator(config.device, config.precision)
        if self.accelerator.num_processes > 1:
            raise UserError(
                f"finetune runs in one process, not in {self.accelerator.num_processes}; start it without torchrun"
            )
        self.embedder, self.optimizer = self.accelerator.prepare(embedder, adamw(embedder, config.optim))
        self.tokenizer = tokenizer
        self.task = RetrievalTask.open(
            "retrieval",
            from_retrieval(data, "retrieval"),
            tokenizer=tokenizer,
            cache=directory / "work" / "tokens",
            max_length=config.max_length,
            query_prompt=config.query_prompt,
            document_prompt=config.document_prompt,
            batch_size=config.batch_size,
            num_negatives=config.num_negatives,
            seed=config.seed,
            same_language=config.same_language,
        )
        self.step = 0
        self.seconds = {"train": 0.0, "refresh": 0.0}
        self.num_refreshes = 0
        self.window = Window()
        self._use(
            Generation(
                name="",
                step=-1,
                row_QP=np.zeros((self.num_queries, 0), np.int32),
                score_QP=np.zeros((self.num_queries, 0), np.float32),
            )
        )

    @property
    def num_queries(self) -> int:
        return self.data.queries.num_rows

    def begin(self) -> None:
        """Takes up the newest whole checkpoint, or starts with the negatives that the config names."""
        found = latest_checkpoint(self.directory / "checkpoints")
        if found is not None:
            self._restore(found)
        elif self.config.negatives:
            self._use(load_generation(Path(self.config.negatives), self.data))
        self.log.cut(self.step)

    def train(self) -> None:
        """Takes the steps that are left."""
        self.embedder.train()
        for step in progress(range(self.step, self.config.steps), "fine-tuning", unit="step"):
            if self._is_refresh_due(step):
                self._refresh(step)
            start = time.monotonic()
            result, num_replaced = self._take(step)
            seconds = time.monotonic() - start
            self.seconds["train"] += seconds
            self.window.add(result, num_replaced=num_replaced, seconds=seconds)
            self.step = step + 1
            if self.step % self.config.log_every == 0 or self.step == self.config.steps:
                self._log_steps()
            if self.step % self.config.checkpoint_every == 0 and self.step < self.config.steps:
                self._save()
        self.embedder.mask.alpha = alpha_at(self.config.steps, self.config.soft_mask_steps)
        self.embedder.eval()

    def _take(self, step: int) -> tuple[ContrastiveLoss, int]:
        """One optimiser step; returns its result and how many negatives the rule replaced."""
        config = self.config
        query_B = self.task.queries_at(step)
        negative_row_BN, _ = self.cursors.negatives(query_B)
        self.embedder.mask.alpha = alpha_at(step, config.soft_mask_steps)
        set_lr(self.optimizer, lr_at(step, config.optim, num_steps=config.steps))
        batch = self.task.batch(step, query_B, negative_row_BN)
        done = take_step(
            self.embedder,
            [Contrastive(batch=batch, temperature=config.temperature)],
            accelerator=self.accelerator,
            budget=config.bucket_tokens,
        )
        result = done.tasks[0]
        assert isinstance(result, ContrastiveLoss)
        self._check_finite(result.loss, "loss", step, query_B)
        if config.optim.grad_clip:
            norm = self.accelerator.clip_grad_norm_(self.embedder.parameters(), config.optim.grad_clip)
            self._check_finite(norm, "gradient", step, query_B)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if not config.rule.enabled:
            return result, 0
        return result, self.cursors.advance(
            query_B, result.negative_scores.float().cpu().numpy(), config.rule
        )

    def _check_finite(self, value: torch.Tensor | None, name: str, step: int, query_B: np.ndarray) -> None:
        """fp16 scales its gradients and skips a step that overflows by itself; anything else that is not
        finite ends the run.
        """
        if (
            value is None
            or bool(torch.isfinite(value))
            or (name == "gradient" and self.config.precision == "fp16")
        ):
            return
        ids = self.data.queries.column("_id").take(query_B[:5]).to_pylist()
        raise UserError(
            f"{name} is {float(value)} at step {step} (queries {', '.join(ids)}, ...); try a lower optim.lr or precision no"
        )

    def _is_refresh_due(self, step: int) -> bool:
        """Before every `mine_every`-th step, and before the first one unless it has negatives to begin with."""
        every = self.config.mine_every
        return every > 0 and step % every == 0 and (step > 0 or not self.generation.name)

    def _refresh(self, step: int) -> None:
        self.embedder.mask.alpha = alpha_at(step, self.config.soft_mask_steps)
        start = time.monotonic()
        old = self.generation
        self._use(
            mine_generation(
                CheckpointEncoder(self.embedder, self.tokenizer, batch_tokens=self.config.bucket_tokens),
                self.data,
                self.arrays,
                step=step,
                selection=self.config.select,
                memory=parse_memory(self.config.memory),
                store=self.directory / "negatives",
                scratch=self.directory / "work" / "refresh",
            )
        )
        seconds = time.monotonic() - start
        self.seconds["refresh"] += seconds
        self.num_refreshes += 1
        event = {
            "event": "refresh",
            "step": step,
            "generation": self.generation.name,
            "documents": self.data.corpus.num_rows,
            "seconds": seconds,
            "share": self.seconds["refresh"] / sum(self.seconds.values()),
            "changed": changed_share(old, self.generation, num_negatives=self.config.num_negatives)
            if old.name
            else 1.0,
            "mean_score": self.generation.mean_score,
            "trigger": "start" if step == 0 else f"every {self.config.mine_every} steps",
        }
        self.log.append(event)
        log.info(
            "step %d: mined %s in %.1f s: %.0f%% of the negatives are new, mean score %.3f",
            *(step, self.generation.name, seconds, 100 * event["changed"], event["mean_score"]),
        )

    def _use(self, generation: Generation) -> None:
        self.generation = generation
        self.cursors = Cursors.start(
            generation.row_QP, generation.score_QP, num_negatives=self.config.num_negatives
        )

    def _log_steps(self) -> None:
        """Writes the means of the window and begins a new one."""
        event = {
            "event": "step",
            "step": self.step,
            "lr": lr_at(self.step - 1, self.config.optim, num_steps=self.config.steps),
            "alpha": alpha_at(self.step - 1, self.config.soft_mask_steps),
            **self.window.means(),
        }
        self.window = Window()
        self.log.append(event)
        log.info(
            "step %d of %d: loss %.4f, positives %.3f, negatives %.3f, accuracy %.2f, %.0f queries/s",
            *(
                self.step,
                self.config.steps,
                event["loss"],
                event["positive_score"],
                event["negative_score"],
                event["accuracy"],
            ),
            event["queries_per_second"],
        )

    def _save(self) -> None:
        save_checkpoint(
            self.directory / "checkpoints",
            step=self.step,
            model=self.embedder,
            optimizer=self.optimizer.optimizer,
            extra={
                "generation": self.generation.name,
                "seconds": self.seconds,
                "num_refreshes": self.num_refreshes,
                "window": dataclasses.asdict(self.window),
            },
            arrays={
                "slot_QN": torch.from_numpy(self.cursors.slot_QN),
                "next_Q": torch.from_numpy(self.cursors.next_Q),
            },
            keep=self.config.keep_checkpoints,
        )

    def _restore(self, checkpoint: Path) -> None:
        loaded = load_checkpoint(checkpoint, model=self.embedder, optimizer=self.optimizer.optimizer)
        self.step, self.seconds, self.num_refreshes = (
            loaded.step,
            loaded.extra["seconds"],
            loaded.extra["num_refreshes"],
        )
        self.window = Window(**loaded.extra["window"])
        name = loaded.extra["generation"]
        if name:
            own = self.directory / "negatives" / name
            self._use(load_generation(own if own.exists() else Path(self.config.negatives), self.data))
        self.cursors.slot_QN, self.cursors.next_Q = (
            loaded.arrays[key].numpy() for key in ("slot_QN", "next_Q")
        )
        log.info("continuing after step %d (negatives: %s)", self.step, name or "none")
