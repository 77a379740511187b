"""Model FLOPs utilisation of pretraining and of the contrastive step: `python -m tests.benchmarks.mfu`.

Whole steps (forward, backward, fused AdamW) under bf16 autocast, random tokens, the shapes of the presets;
FLOPs are those of `flops_per_token` (the full attention square, 3 times the forward), the peak is that of
dense bf16 matrix products by the card's name. The contrastive step embeds packed rows of texts of about 110
tokens (lognormal) at alpha 0.5 with 7 negatives a query.
"""

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable

import torch
from transformers import LlamaConfig, LlamaForCausalLM, LlamaModel

from conan_train.losses.infonce import infonce
from conan_train.model.contract import EncodingContract
from conan_train.model.embedder import Embedder
from conan_train.model.presets import flops_per_token, llama_config
from conan_train.model.tokenization import pack_tokens

PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12, "RTX 4090": 165e12}
NUM_NEGATIVES = 7


def peak_flops(name: str) -> float | None:
    return next((peak for card, peak in PEAKS.items() if card in name), None)


def pretraining(config: LlamaConfig, device: str, num_tokens: int) -> tuple[Callable[[], None], float]:
    """One step over rows of 2,048 tokens, and its FLOPs."""
    length = min(2_048, num_tokens)
    with torch.device(device):
        model = LlamaForCausalLM(config)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    ids = torch.randint(0, config.vocab_size, (num_tokens // length, length), device=device)

    def step() -> None:
        with torch.autocast(device, dtype=torch.bfloat16):
            loss = model(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()

    return step, ids.numel() * flops_per_token(config, length=length, lm_head=True, backward=True)


def contrastive(config: LlamaConfig, device: str, num_queries: int) -> tuple[Callable[[], None], float]:
    """One step of `num_queries` queries, a positive and negatives each, as one packed row; and its FLOPs."""
    with torch.device(device):
        embedder = Embedder(LlamaModel(config), EncodingContract(), alpha=0.5)
    optimiser = torch.optim.AdamW(embedder.parameters(), lr=1e-4, fused=True)
    draw = random.Random(0)
    lengths = [
        min(512, max(4, round(draw.lognormvariate(4.5, 0.6))))
        for _ in range(num_queries * (NUM_NEGATIVES + 2))
    ]
    ids, lengths_N = pack_tokens(
        [[draw.randrange(config.vocab_size) for _ in range(length)] for length in lengths], device=device
    )

    def step() -> None:
        with torch.autocast(device, dtype=torch.bfloat16):
            vectors = embedder(ids, lengths=lengths_N)
        queries, positives, negatives = vectors.split([num_queries, num_queries, num_queries * NUM_NEGATIVES])
        infonce(
            queries, positives, negatives.unflatten(0, (num_queries, NUM_NEGATIVES)), temperature=0.05
        ).loss.backward()
        optimiser.step()
        optimiser.zero_grad()

    return step, float(
        sum(length * flops_per_token(config, length=length, backward=True) for length in lengths)
    )


def seconds(step: Callable[[], None], device: str, num_runs: int) -> float:
    found = []
    for run in range(-2, num_runs):
        start = time.perf_counter()
        step()
        if device == "cuda":
            torch.cuda.synchronize()
        if run >= 0:
            found.append(time.perf_counter() - start)
    return statistics.median(found)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    options.add_argument("--presets", nargs="*", default=["150m", "conan-1.4b"])
    options.add_argument("--tokens", type=int, default=16_384, help="of a pretraining step")
    options.add_argument("--queries", type=int, default=16)
    options.add_argument("--runs", type=int, default=5)
    given = options.parse_args()
    name = torch.cuda.get_device_name() if given.device == "cuda" else "CPU"
    peak = peak_flops(name)
    figures: dict[str, float | str] = {"device": name}
    for preset in given.presets:
        config = llama_config(preset)
        for stage, make, size in (
            ("pretrain", pretraining, given.tokens),
            ("contrastive", contrastive, given.queries),
        ):
            step, flops = make(config, given.device, size)
            rate = flops / seconds(step, given.device, given.runs)
            figures[f"tflops_{stage}_{preset}"] = round(rate / 1e12, 3)
            if peak:
                figures[f"mfu_{stage}_{preset}"] = round(rate / peak, 4)
            share = f", {rate / peak:.1%} of the peak" if peak else ""
            print(f"{preset} {stage}: {rate / 1e12:.3f} TFLOP/s{share}", flush=True)
            del step  # the model goes with it, and the next one needs its memory
            if given.device == "cuda":
                torch.cuda.empty_cache()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
