"""Pretraining against the Trainer of transformers: `python -m tests.benchmarks.pretrain [--device cuda --preset 150m]`.

Both train the same model from the same weights on the same packed rows (position ids for the borders between
documents), with the same fused AdamW, learning rate, clipping, precision, micro batch and steps between two
lines of the log. Theirs gets the rows as a data set that is in memory already; ours lays each row out when its
step comes. Both sides take turns after every step, so that a slow minute hits both, and must have the same loss
at every one; the figure is the ratio of the medians over all runs. `ratio_hf` over 1: ours is faster. With one
thread, times are processor time, as others may use the machine. With a GPU that is in the table of peaks, the
share of it that is used (MFU) is printed too.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ALLOCATOR = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "268435456",
}
WARM_UP = 2
"""Steps of a run that are not timed."""
LR, LOG_EVERY = 1e-3, 10
Steps = Iterator[tuple[float, float]]
"""Seconds and loss of each."""


def make_rows(options: argparse.Namespace) -> Any:
    """Rows of random documents, lognormal in length with a mean of about 200 tokens."""
    import numpy as np

    from conan_train.pretrain.packing import Rows

    draw = np.random.default_rng(0)
    wanted = options.steps * options.batch_tokens
    lengths = np.clip(draw.lognormal(5, 0.8, 2 * wanted // 100), 8, 4096).astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    ids = draw.integers(0, options.vocab, starts[-1]).astype(np.uint16)
    return Rows(ids, starts, np.arange(len(lengths)), length=options.length, seed=0)


def make_model(options: argparse.Namespace) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    from conan_train.model.presets import llama_config

    torch.manual_seed(0)
    config = llama_config(options.preset, vocab_size=options.vocab)
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32)


def ours(options: argparse.Namespace, folder: Path) -> Steps:
    """Our steps, as the loop of all stages takes them, its log included."""
    import torch

    from conan_train.device import make_accelerator
    from conan_train.optim.config import OptimConfig
    from conan_train.pretrain.config import PretrainConfig
    from conan_train.pretrain.objective import NextToken
    from conan_train.training.loop import Loop
    from conan_train.training.parallel import distribute

    config = PretrainConfig(
        out=folder, model="-", corpus=("-",), steps=options.steps, batch_tokens=options.batch_tokens,
        micro_batch_tokens=options.micro_batch_tokens, sequence_length=options.length, precision=options.precision, device=options.device,
        optim=OptimConfig(lr=LR, schedule="constant"), log_every=LOG_EVERY,
    )  # fmt: skip
    accelerator = make_accelerator(options.device, options.precision)
    model = make_model(options)
    called: Any = distribute(model, accelerator, parallel=config.parallel)
    objective = NextToken(
        config,
        make_rows(options),
        model=torch.compile(called) if options.compile else called,
        accelerator=accelerator,
        flops_per_token=1,
    )
    loop = Loop(
        config, objective, model=model, accelerator=accelerator, num_steps=options.steps, directory=folder
    )
    folder.mkdir()
    model.train()
    for step in range(options.steps):
        start = now(options)
        objective.prepare(step)
        before = loop.window.loss
        loop._take(step, time.monotonic())
        loss = loop.window.loss - before
        loop.step = step + 1
        if loop.step % config.log_every == 0:
            loop._log_steps()
        yield now(options) - start, loss


def theirs(
    options: argparse.Namespace, folder: Path, between: Callable[[], None]
) -> list[tuple[float, float]]:
    """The steps of transformers' Trainer, from the end of one to the end of the next; the seconds of the first
    are NaN. `between` is called after each, and does not count.
    """
    import numpy as np
    import torch
    from torch.utils.data import Dataset, SequentialSampler
    from transformers import Trainer, TrainerCallback, TrainingArguments

    from conan_train.optim.config import OptimConfig
    from conan_train.optim.groups import adamw

    rows = make_rows(options)
    batch = rows.batch(0, options.steps * options.batch_tokens // options.length)
    labels = np.full_like(batch.labels, -100)
    labels[:, 1:] = batch.labels[:, :-1]
    columns = {"input_ids": batch.ids, "position_ids": batch.positions, "labels": labels}
    tensors = {name: torch.from_numpy(column) for name, column in columns.items()}

    class Packed(Dataset[dict[str, torch.Tensor]]):
        def __len__(self) -> int:
            return len(batch.ids)

        def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
            return {name: column[number] for name, column in tensors.items()}

    starts, ends, losses = [math.nan], [], []

    class Clock(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            ends.append(now(options))
            between()
            losses.append(torch.zeros(()))
            starts.append(now(options))

    model = make_model(options)
    model.config.use_cache = False
    per_pass = options.micro_batch_tokens // options.length
    arguments = TrainingArguments(
        output_dir=str(folder), max_steps=options.steps, per_device_train_batch_size=per_pass,
        gradient_accumulation_steps=options.batch_tokens // options.micro_batch_tokens, max_grad_norm=1.0, lr_scheduler_type="constant",
        bf16=options.precision == "bf16", use_cpu=options.device == "cpu", logging_strategy="steps", logging_steps=LOG_EVERY,
        save_strategy="no", report_to="none", disable_tqdm=True, remove_unused_columns=False, torch_compile=options.compile, seed=0,
    )  # fmt: skip
    optimizer = adamw(model.to(options.device), OptimConfig(lr=LR))
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)

    class InOrder(Trainer):
        def _get_train_sampler(self, *_: Any) -> Any:
            return SequentialSampler(Packed())

        def training_step(self, *given: Any, **kwargs: Any) -> torch.Tensor:
            loss = super().training_step(*given, **kwargs)
            losses[-1] += loss.cpu()
            return loss

    losses.append(torch.zeros(()))
    InOrder(
        model=model,
        args=arguments,
        train_dataset=Packed(),
        optimizers=(optimizer, schedule),
        callbacks=[Clock()],
    ).train()
    seconds = (end - start for start, end in zip(starts, ends))
    return list(zip(seconds, map(float, losses)))


def now(options: argparse.Namespace) -> float:
    """Seconds: of this process's work on a CPU with one thread, else of the clock, with the device idle."""
    if options.device == "cuda":
        import torch

        torch.cuda.synchronize()
    return time.process_time() if options.device == "cpu" and options.threads == 1 else time.perf_counter()


def run(options: argparse.Namespace) -> dict[str, list[float]]:
    """Both sides in this process, in turns after every step: seconds of their steps."""
    import torch

    torch.set_num_threads(options.threads)
    found: dict[str, list[tuple[float, float]]] = {"ours": [], "theirs": []}
    with tempfile.TemporaryDirectory() as name:
        steps = ours(options, Path(name) / "ours")
        found["theirs"] = theirs(options, Path(name) / "theirs", lambda: found["ours"].append(next(steps)))
    for (_, own), (_, peer) in zip(*found.values(), strict=True):
        assert math.isclose(own, peer, rel_tol=1e-2 if options.precision == "bf16" else 1e-4), (own, peer)
    seconds = {side: [taken for taken, _ in pairs[WARM_UP:]] for side, pairs in found.items()}
    return {**seconds, "loss": [found["ours"][-1][1]]}


def in_process(options: argparse.Namespace) -> dict[str, list[float]]:
    """`run` in a process of its own; on a CPU under the allocator's settings."""
    environment = {**os.environ, **(ALLOCATOR if options.device == "cpu" else {})}
    environment["OMP_NUM_THREADS"] = str(options.threads)
    command = [sys.executable, "-m", "tests.benchmarks.pretrain", *sys.argv[1:], "--run"]
    found = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(found.stdout.splitlines()[-1])


def mfu(options: argparse.Namespace, tokens_per_second: float) -> float | None:
    """Share of the device's peak; None where that is not known."""
    import torch

    from conan_train.model.peak import peak_flops
    from conan_train.model.presets import flops_per_token, llama_config

    peak = peak_flops(torch.device(options.device)) if options.precision == "bf16" else None
    config = llama_config(options.preset, vocab_size=options.vocab)
    work = flops_per_token(config, length=options.length, lm_head=True, backward=True)
    return tokens_per_second * work / peak if peak else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--preset", default="nano")
    parser.add_argument("--vocab", type=int, default=8000)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--micro-batch-tokens", type=int, default=2048)
    parser.add_argument("--precision", default="no", choices=["no", "bf16"])
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--run", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        print(json.dumps(run(options)))
        return
    runs = [in_process(options) for _ in range(options.runs)]
    speed = {
        side: options.batch_tokens / statistics.median(second for one in runs for second in one[side])
        for side in ("ours", "theirs")
    }
    figures = {
        "ratio_hf": round(speed["ours"] / speed["theirs"], 3),
        "tokens_per_second": round(speed["ours"]),
        "loss": round(runs[0]["loss"][0], 4),
    }
    print(
        f"{options.preset}, rows of {options.length}, {options.batch_tokens} tokens a step, {options.device}, {options.threads} threads"
    )
    print(f"{'':16}{'tokens/s':>12}{'MFU':>8}")
    for side, label in (("ours", "conan"), ("theirs", "HF Trainer")):
        used = mfu(options, speed[side])
        shown = "-" if used is None else f"{100 * used:.1f}%"
        if used is not None:
            figures["mfu" if side == "ours" else "mfu_hf"] = round(used, 4)
        print(f"{label:16}{speed[side]:>12,.0f}{shown:>8}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
