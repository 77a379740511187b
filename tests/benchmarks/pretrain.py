"""Pretraining against the Trainer of transformers: `python -m tests.benchmarks.pretrain [--device cuda --preset 150m]`.

Both train the same model from the same weights on the same packed rows (position ids for the borders between
documents), with the same fused AdamW, schedule, clipping, precision and micro batch. Theirs gets the rows as a
data set that is in memory already; ours lays each row out when its step comes. Only the steps are timed, from
the end of the first ones to the end of the last; both sides take turns, each in a process of its own, and the
figure is the ratio of the medians. `ratio_hf` over 1: ours is faster. With a GPU that is in the table of peaks,
the share of it that is used (MFU) is printed too.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ALLOCATOR = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "268435456",
}
WARM_UP = 3
"""Steps that are not timed."""


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


def ours(options: argparse.Namespace, folder: Path) -> list[float]:
    """Times at which our steps ended, and the last loss."""
    from conan_train.pretrain.loop import Trainer

    from conan_train.device import make_accelerator
    from conan_train.optim.config import OptimConfig
    from conan_train.pretrain.config import PretrainConfig

    config = PretrainConfig(
        out=folder, model="-", corpus=("-",), steps=options.steps, batch_tokens=options.batch_tokens,
        micro_batch_tokens=options.micro_batch_tokens, sequence_length=options.length, precision=options.precision, device=options.device,
        optim=OptimConfig(lr=1e-3, schedule="linear", final_lr=0.0), log_every=10**6, checkpoint_every=10**6, compile=options.compile,
    )  # fmt: skip
    accelerator = make_accelerator(options.device, options.precision)
    trainer = Trainer(
        config, model=make_model(options), rows=make_rows(options), num_steps=options.steps, accelerator=accelerator, directory=folder
    )  # fmt: skip
    ends: list[float] = []
    take = trainer._take

    def timed(step: int) -> dict[str, Any]:
        values = take(step)
        ends.append(time.perf_counter())
        losses.append(values["loss"])
        return values

    losses: list[float] = []
    trainer._take = timed  # type: ignore[method-assign]
    trainer.save = lambda: None  # type: ignore[method-assign]
    trainer.train()
    return [*ends, losses[-1]]


def theirs(options: argparse.Namespace, folder: Path) -> list[float]:
    """Times at which the steps of transformers' Trainer ended, and the last loss."""
    import numpy as np
    import torch
    from torch.utils.data import Dataset
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

    ends: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            if options.device == "cuda":
                torch.cuda.synchronize()
            ends.append(time.perf_counter())

    model = make_model(options)
    model.config.use_cache = False
    per_pass = options.micro_batch_tokens // options.length
    arguments = TrainingArguments(
        output_dir=str(folder), max_steps=options.steps, per_device_train_batch_size=per_pass,
        gradient_accumulation_steps=options.batch_tokens // options.micro_batch_tokens, max_grad_norm=1.0, lr_scheduler_type="linear",
        bf16=options.precision == "bf16", use_cpu=options.device == "cpu", logging_strategy="steps", logging_steps=1, save_strategy="no",
        report_to="none", disable_tqdm=True, remove_unused_columns=False, torch_compile=options.compile, seed=0,
    )  # fmt: skip
    optimizer = adamw(model.to(options.device), OptimConfig(lr=1e-3))
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, options.steps)

    class InOrder(Trainer):
        def _get_train_sampler(self, *_: Any) -> Any:
            return torch.utils.data.SequentialSampler(Packed())

    trainer = InOrder(
        model=model,
        args=arguments,
        train_dataset=Packed(),
        optimizers=(optimizer, schedule),
        callbacks=[Clock()],
    )
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return [*ends, float(losses[-1])]


def run(side: str, options: argparse.Namespace) -> dict[str, Any]:
    """One side in a process of its own: tokens a second and the last loss."""
    arguments = [sys.executable, "-m", "tests.benchmarks.pretrain", "--side", side]
    for name, value in vars(options).items():
        if name not in ("side", "compile", "runs"):
            arguments += [f"--{name.replace('_', '-')}", str(value)]
    if options.compile:
        arguments.append("--compile")
    environment = {**os.environ, **(ALLOCATOR if options.device == "cpu" else {})}
    environment["OMP_NUM_THREADS"] = str(options.threads)
    found = subprocess.run(arguments, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(found.stdout.splitlines()[-1])


def one_side(options: argparse.Namespace) -> None:
    """What the process of one side does."""
    import torch

    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        *ends, loss = {"ours": ours, "theirs": theirs}[options.side](options, Path(folder))
    tokens = (len(ends) - WARM_UP) * options.batch_tokens
    print(json.dumps({"tokens_per_second": tokens / (ends[-1] - ends[WARM_UP - 1]), "loss": loss}))


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
    parser.add_argument("--steps", type=int, default=13)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--side", default="", choices=["", "ours", "theirs"])
    options = parser.parse_args()
    if options.side:
        one_side(options)
        return
    found: dict[str, list[dict[str, Any]]] = {"ours": [], "theirs": []}
    for _ in range(options.runs):
        for side, results in found.items():
            results.append(run(side, options))
    speed = {
        side: statistics.median(result["tokens_per_second"] for result in results)
        for side, results in found.items()
    }
    figures = {
        "ratio_hf": round(speed["ours"] / speed["theirs"], 3),
        "tokens_per_second": round(speed["ours"]),
        "loss_ours": round(found["ours"][0]["loss"], 4),
        "loss_hf": round(found["theirs"][0]["loss"], 4),
    }
    print(
        f"{options.preset}, rows of {options.length}, {options.batch_tokens} tokens a step, {options.device}"
    )
    print(f"{'':16}{'tokens/s':>12}{'MFU':>8}{'last loss':>12}")
    for side, label in (("ours", "conan"), ("theirs", "HF Trainer")):
        used = mfu(options, speed[side])
        shown = "-" if used is None else f"{100 * used:.1f}%"
        if used is not None:
            figures["mfu" if side == "ours" else "mfu_hf"] = round(used, 4)
        print(f"{label:16}{speed[side]:>12,.0f}{shown:>8}{found[side][0]['loss']:>12.4f}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
