"""The cost of the soft mask: `python -m tests.benchmarks.softmask`.

On CUDA, attention alone, forward and backward, bf16, 16 heads of 64 over 4 of keys and values, 32,768 tokens
in texts of each length: two flash calls at alpha 0.5, torch's own bidirectional flash, and sdpa with the
dense bias up to length 8,192. The sides take turns; medians. Memory is the peak for one text of each length.

On the CPU the two-call form is a reference and not for speed; there it is the dense bias of a whole small
model at alpha 0.5 against its bidirectional mask, forward and backward.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention
from transformers import LlamaModel

from conan_train.model.contract import EncodingContract
from conan_train.model.embedder import Embedder
from conan_train.model.presets import llama_config
from conan_train.model.softmask import packed_bias
from conan_train.model.softmask.flash import varlen_attention
from conan_train.model.softmask.rows import rows_of_lengths

LENGTHS = (512, 2_048, 8_192, 32_768)
NUM_TOKENS = 32_768
LONGEST_DENSE = 8_192  # a bias of 32,768 takes 2 GB, and its making several times that
NUM_HEADS, NUM_KV_HEADS, HEAD_SIZE = 16, 4, 64
SCALE = HEAD_SIZE**-0.5


def inputs_of(length: int, num_texts: int) -> list[torch.Tensor]:
    """Query, key, value [T, H, D] in bf16."""
    return [
        torch.randn(
            length * num_texts, heads, HEAD_SIZE, device="cuda", dtype=torch.bfloat16
        ).requires_grad_()
        for heads in (NUM_HEADS, NUM_KV_HEADS, NUM_KV_HEADS)
    ]


def soft_side(length: int, num_texts: int) -> Callable[[], None]:
    inputs = inputs_of(length, num_texts)
    grad = torch.randn_like(inputs[0])
    rows = rows_of_lengths([length] * num_texts, 0.5, dtype=torch.float32, device=torch.device("cuda"))

    def run() -> None:
        torch.autograd.grad(varlen_attention(*inputs, rows, scale=SCALE), inputs, grad)

    return run


def padded_inputs(length: int, num_texts: int) -> list[torch.Tensor]:
    """The same, [B, H, L, D]."""
    return [
        given.detach().unflatten(0, (num_texts, length)).transpose(1, 2).contiguous().requires_grad_()
        for given in inputs_of(length, num_texts)
    ]


def plain_side(length: int, num_texts: int) -> Callable[[], None]:
    inputs = padded_inputs(length, num_texts)
    grad = torch.randn_like(inputs[0])

    def run() -> None:
        with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
            out = scaled_dot_product_attention(*inputs, scale=SCALE, enable_gqa=True)
        torch.autograd.grad(out, inputs, grad)

    return run


def dense_side(length: int, num_texts: int) -> Callable[[], None]:
    inputs = padded_inputs(length, num_texts)
    grad = torch.randn_like(inputs[0])
    segment = torch.zeros(1, length, dtype=torch.long, device="cuda")
    bias = packed_bias(segment, 0.5, torch.bfloat16).expand(num_texts, 1, length, length)

    def run() -> None:
        # as transformers does it under a bias: its kernel knows no grouped heads
        query, *grouped = inputs
        key, value = (given.repeat_interleave(NUM_HEADS // NUM_KV_HEADS, dim=1) for given in grouped)
        out = scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=SCALE)
        torch.autograd.grad(out, inputs, grad)

    return run


def milliseconds(sides: dict[str, Callable[[], None]], num_runs: int) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in sides}
    for run in range(-3, num_runs):
        for name, side in sides.items():
            torch.cuda.synchronize()
            start = time.perf_counter()
            side()
            torch.cuda.synchronize()
            if run >= 0:
                times[name].append((time.perf_counter() - start) * 1e3)
    return {name: statistics.median(found) for name, found in times.items()}


def peak_megabytes(make: Callable[[int, int], Callable[[], None]], length: int) -> float:
    """Of one text, inputs and mask included."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    make(length, 1)()
    return (torch.cuda.max_memory_allocated() - before) / 1e6


def on_cuda(num_runs: int) -> dict[str, float]:
    """Times, ratios and peaks by length."""
    figures: dict[str, float] = {}
    print(
        f"{'length':>8} {'soft ms':>9} {'plain ms':>9} {'ratio':>6} {'dense ms':>9} {'soft MB':>9} {'dense MB':>9}"
    )
    for length in LENGTHS:
        num_texts = NUM_TOKENS // length
        sides = {"soft": soft_side(length, num_texts), "plain": plain_side(length, num_texts)}
        has_dense = length <= LONGEST_DENSE
        if has_dense:
            sides["dense"] = dense_side(length, num_texts)
        found = milliseconds(sides, num_runs)
        memory = peak_megabytes(soft_side, length)
        dense_memory = peak_megabytes(dense_side, length) if has_dense else float("nan")
        ratio = found["soft"] / found["plain"]
        print(
            f"{length:>8} {found['soft']:>9.2f} {found['plain']:>9.2f} {ratio:>6.2f} "
            f"{found.get('dense', float('nan')):>9.2f} {memory:>9.1f} {dense_memory:>9.1f}"
        )
        figures |= {
            f"ms_{length}": found["soft"],
            f"ratio_plain_{length}": ratio,
            f"megabytes_{length}": memory,
        }
        if has_dense:
            figures[f"ratio_dense_{length}"] = found["dense"] / found["soft"]
    figures["ratio_plain"] = max(figures[f"ratio_plain_{length}"] for length in LENGTHS)
    # 1 is linear, 4 quadratic, from one length to the next that is four times as long
    figures["memory_growth"] = figures["megabytes_32768"] / figures["megabytes_8192"] / 4
    return figures


def on_cpu(num_runs: int) -> dict[str, float]:
    """What the bias costs a small model, as a ratio to the bidirectional mask."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    embedder = Embedder(LlamaModel(llama_config("nano")), EncodingContract())
    ids = torch.randint(1, 8_000, (8, 128))
    mask = torch.ones_like(ids)
    for row in range(8):
        mask[row, 128 - 4 * row :] = 0
    times: dict[float, list[float]] = {0.5: [], 1.0: []}
    for run in range(-2, num_runs):
        for alpha, found in times.items():
            embedder.mask.alpha = alpha
            embedder.zero_grad()
            start = time.perf_counter()
            embedder(ids, mask).square().sum().backward()
            if run >= 0:
                found.append(time.perf_counter() - start)
    ratio = statistics.median(soft / plain for soft, plain in zip(times[0.5], times[1.0], strict=True))
    print(f"no GPU here; dense bias at alpha 0.5 against bidirectional, on the CPU: {ratio:.3f} times")
    return {"ratio_bidirectional_cpu": ratio}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    options.add_argument("--runs", type=int, default=15)
    given = options.parse_args()
    on_gpu = given.device == "cuda" or (given.device == "auto" and torch.cuda.is_available())
    figures = on_cuda(given.runs) if on_gpu else on_cpu(given.runs)
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
