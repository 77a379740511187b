"""The flash form on the CUDA kernels; the same algebra is proven on the CPU by `test_flash`."""

import pytest
import torch
from transformers import LlamaConfig, LlamaModel, PreTrainedModel, Qwen3Config, Qwen3Model

from conan_train.model.contract import EncodingContract
from conan_train.model.directions import check_directions
from conan_train.model.embedder import Embedder
from conan_train.model.softmask import install
from conan_train.model.softmask.flash import varlen_attention
from conan_train.model.softmask.reference import reference_backward, reference_forward
from conan_train.model.softmask.rows import VarlenInputs, rows_of_lengths
from conan_train.model.tokenization import pack_tokens, pad_tokens

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

CUDA = torch.device("cuda")
LENGTHS = (1, 2, 63, 64, 65, 128, 200, 517)
ALPHAS = [0.0, 0.01, 0.3, 0.8, 1.0]
SHAPE = {
    "vocab_size": 200,
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "pad_token_id": 0,
}


def llama() -> PreTrainedModel:
    torch.manual_seed(0)
    return LlamaModel(LlamaConfig(**SHAPE)).to(CUDA).eval()


def qwen3() -> PreTrainedModel:
    torch.manual_seed(0)
    return Qwen3Model(Qwen3Config(**SHAPE)).to(CUDA).eval()


@pytest.mark.parametrize("size", [32, 64, 128, 256])
@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 3e-2), (torch.float16, 5e-3)])
def test_the_kernels_are_the_reference(dtype: torch.dtype, tolerance: float, alpha: float, size: int) -> None:
    """Outputs and gradients in half precision, against float32 on the very same numbers."""
    generator = torch.Generator().manual_seed(0)
    query, key, value, grad = (
        torch.randn(sum(LENGTHS), heads, size, generator=generator).to(CUDA, dtype) for heads in (4, 2, 2, 4)
    )
    inputs = [given.requires_grad_() for given in (query, key, value)]
    rows = rows_of_lengths(LENGTHS, alpha, dtype=torch.float32, device=CUDA)
    scale = size**-0.5
    out = varlen_attention(*inputs, rows, scale=scale)
    found = torch.autograd.grad(out, inputs, grad)

    host = torch.device("cpu")
    wide = [given.detach().to(host, torch.float32).requires_grad_() for given in inputs]
    host_rows = rows_of_lengths(LENGTHS, alpha, dtype=torch.float32, device=host)
    expected = varlen_attention(*wide, host_rows, scale=scale)
    wanted = torch.autograd.grad(expected, wide, grad.to(host, torch.float32))
    for one, other in zip((out, *found), (expected, *wanted), strict=True):
        difference = (one.detach().to(host, torch.float32) - other).abs().max()
        assert difference < tolerance * other.abs().max(), (difference, other.abs().max())


def test_the_log_sum_exp_is_natural_and_head_by_token() -> None:
    """What merge and shifts take for granted of the kernel, alone."""
    generator = torch.Generator().manual_seed(0)
    tensors = [torch.randn(9, heads, 64, generator=generator).to(CUDA, torch.bfloat16) for heads in (4, 2, 2)]
    rows = rows_of_lengths((4, 5), 0.0, dtype=torch.float32, device=CUDA)
    lse = torch.ops.aten._flash_attention_forward(
        *tensors, rows.edges, rows.edges, 5, 5, 0.0, True, False, scale=0.125
    )[1]
    expected = reference_forward(VarlenInputs(*tensors, rows, 0.125), causal=True)[1]
    torch.testing.assert_close(lse, expected, rtol=0, atol=1e-3)


def test_a_row_of_infinite_log_sum_exp_has_no_gradient() -> None:
    """The kernel on a saturated row (w = 1), alone: finite, and equal to the reference."""
    generator = torch.Generator().manual_seed(0)
    query, key, value, grad = (
        torch.randn(8, 4, 64, generator=generator).to(CUDA, torch.bfloat16) for _ in range(4)
    )
    rows = rows_of_lengths((8,), 0.0, dtype=torch.float32, device=CUDA)
    inputs = VarlenInputs(query, key, value, rows, 0.125)
    out, lse = reference_forward(inputs, causal=True)
    lse[:, 3:] = float("inf")
    kernel = torch.ops.aten._flash_attention_backward(
        grad, query, key, value, out, lse, rows.edges, rows.edges, 8, 8, 0.0, True,
        torch.zeros(2, dtype=torch.uint64, device=CUDA), torch.empty(0, device=CUDA), scale=0.125,
    )  # fmt: skip
    for found, expected in zip(kernel, reference_backward(inputs, grad, out, lse, causal=True), strict=True):
        assert torch.isfinite(found).all()
        torch.testing.assert_close(found.float(), expected.float(), rtol=0, atol=2e-2)
    assert kernel[0][3:].abs().max() == 0.0


@pytest.mark.parametrize("padding", ["none", "left", "right"])
@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("build", [llama, qwen3])
def test_whole_models_agree_with_the_dense_mask(build: object, alpha: float, padding: str) -> None:
    """bf16 autocast, both forms against float32 dense: flash is not further from it than twice the dense form
    is.
    """
    ids = torch.randint(1, 200, (4, 150), generator=torch.Generator().manual_seed(1)).to(CUDA)
    mask = torch.ones_like(ids)
    if padding != "none":
        for row, num_padded in enumerate((0, 3, 77, 149)):
            mask[row, 150 - num_padded :] = 0
        mask = mask.flip(1) if padding == "left" else mask
    direction = torch.randn(int(mask.sum()), 256, generator=torch.Generator().manual_seed(2)).to(CUDA)
    results = {}
    for attention, autocast in (("dense", False), ("dense", True), ("flash", True)):
        model = build()
        install(model, alpha=alpha, attention=attention)
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=autocast):
            states = model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
        states = states[mask.bool()].float()
        (states * direction).sum().backward()
        grads = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
        results[attention, autocast] = states.detach(), grads
    for exact, dense, flash in zip(*results.values(), strict=True):
        rounding = (dense - exact).norm() / exact.norm()
        assert torch.isfinite(flash).all()
        assert (flash - exact).norm() / exact.norm() < 2 * rounding + 1e-4


@pytest.mark.parametrize("alpha", ALPHAS)
@torch.no_grad()
def test_packed_is_padded(alpha: float) -> None:
    generator = torch.Generator().manual_seed(3)
    texts = [torch.randint(1, 200, (length,), generator=generator).tolist() for length in (1, 2, 9, 64, 300)]
    embedder = Embedder(llama().bfloat16(), EncodingContract(), alpha=alpha, attention="flash")
    ids, lengths = pack_tokens(texts, device=CUDA)
    padded = embedder(*pad_tokens(texts, pad_id=0, device=CUDA))
    torch.testing.assert_close(embedder(ids, lengths=lengths), padded, rtol=0, atol=5e-3)


def test_auto_is_flash_and_sees_what_it_should() -> None:
    model = llama().bfloat16()
    check_directions(model, install(model, alpha=0.5))


def test_memory_is_linear_in_the_length() -> None:
    peaks = []
    for length in (8_192, 32_768):
        generator = torch.Generator().manual_seed(0)
        inputs = [
            torch.randn(length, heads, 64, generator=generator).to(CUDA, torch.bfloat16).requires_grad_()
            for heads in (4, 2, 2)
        ]
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        rows = rows_of_lengths((length,), 0.5, dtype=torch.float32, device=CUDA)
        varlen_attention(*inputs, rows, scale=0.125).sum().backward()
        peaks.append(torch.cuda.max_memory_allocated() - before)
    assert peaks[1] < 4.5 * peaks[0]
