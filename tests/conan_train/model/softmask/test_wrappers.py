"""The soft mask inside of what training wraps around a model: compilation, DDP, FSDP2, copies.

Every wrapper against the bare model, states or vectors and gradients, and against alpha having no effect.
"""

import copy
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.nn.parallel import DistributedDataParallel
from transformers import LlamaConfig, LlamaModel

from conan_train.model.contract import EncodingContract
from conan_train.model.embedder import Embedder
from conan_train.model.softmask import AttentionForm
from conan_train.model.tokenization import pack_tokens, pad_tokens

TEXTS = [[5, 9, 3], [7], [11, 2, 30, 8, 21, 4], [39, 17, 1, 25, 13, 12, 33, 2]]
FORMS: list[AttentionForm] = ["dense", "flash"]


def make(attention: AttentionForm, *, alpha: float = 0.4) -> Embedder:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=40,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        pad_token_id=0,
    )
    return Embedder(LlamaModel(config), EncodingContract(), alpha=alpha, attention=attention)


def run(model: torch.nn.Module, *, packed: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors and the joined gradient."""
    model.zero_grad()  # before the forward: between the two FSDP2 shows other parameters
    if packed:
        ids, lengths = pack_tokens(TEXTS, device="cpu")
        vectors = model(ids, lengths=lengths)
    else:
        vectors = model(*pad_tokens(TEXTS, pad_id=0, device="cpu"))
    direction = torch.randn(vectors.shape, generator=torch.Generator().manual_seed(2))
    (vectors * direction).sum().backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    whole = [grad.full_tensor() if hasattr(grad, "full_tensor") else grad for grad in gradients]
    return vectors.detach(), torch.cat([grad.flatten() for grad in whole])


def same(
    found: tuple[torch.Tensor, ...], expected: tuple[torch.Tensor, ...], tolerance: float = 1e-5
) -> None:
    assert expected[1].abs().max() > 0.1
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=tolerance)


@pytest.fixture
def one_process(tmp_path: Path) -> None:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'meet'}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("attention", FORMS)
def test_ddp(attention: AttentionForm, packed: bool, one_process: None) -> None:
    wrapped = DistributedDataParallel(make(attention), broadcast_buffers=False)
    same(run(wrapped, packed=packed), run(make(attention)))
    wrapped.module.mask.alpha = 1.0
    same(run(wrapped, packed=packed), run(make(attention, alpha=1.0)))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("attention", FORMS)
def test_fsdp2(attention: AttentionForm, packed: bool, one_process: None) -> None:
    sharded = make(attention)
    mesh = dist.init_device_mesh("cpu", (1,))
    for layer in sharded.backbone.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(sharded, mesh=mesh)
    same(run(sharded, packed=packed), run(make(attention)))
    sharded.mask.alpha = 0.0
    same(run(sharded, packed=packed), run(make(attention, alpha=0.0)))


@pytest.mark.parametrize("attention", FORMS)
def test_fsdp2_in_mixed_precision(attention: AttentionForm, one_process: None) -> None:
    """The wrapper casts what it finds in a layer's arguments; the mask must survive it."""
    sharded = make(attention)
    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    mesh = dist.init_device_mesh("cpu", (1,))
    for layer in sharded.backbone.layers:
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(sharded, mesh=mesh, mp_policy=policy)
    vectors, _ = run(sharded)
    expected, other_end = run(make(attention))[0], run(make(attention, alpha=0.0))[0]
    assert (vectors - expected).abs().max() < 0.02 < (other_end - expected).abs().max()


@pytest.mark.parametrize("attention", FORMS)
def test_a_copy_has_an_alpha_and_a_form_of_its_own(attention: AttentionForm) -> None:
    model = make(attention)
    twin = copy.deepcopy(model)
    twin.mask.alpha = 1.0
    assert twin.mask.attention == attention
    same(run(model), run(make(attention)))
    same(run(twin), run(make(attention, alpha=1.0)))


@pytest.mark.parametrize("attention", FORMS)
def test_autocast(attention: AttentionForm) -> None:
    model = make(attention)
    expected, other_end = run(model)[0], run(make(attention, alpha=0.0))[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        vectors, gradient = run(model)
        packed, _ = run(model, packed=True)
    assert torch.isfinite(gradient).all()
    for found in (vectors, packed):
        assert (found - expected).abs().max() < 0.02 < (other_end - expected).abs().max()


@pytest.mark.slow
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("attention", FORMS)
def test_compiled(attention: AttentionForm, checkpointing: bool) -> None:
    """A new alpha compiles nothing anew."""
    torch._dynamo.reset()
    model = make(attention)
    if checkpointing:
        model.backbone.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    compiled = torch.compile(model, backend="aot_eager", dynamic=True)
    same(run(compiled), run(make(attention)))
    with torch._dynamo.config.patch(error_on_recompile=True):
        for alpha in (0.3, 0.7, 0.9):
            model.mask.alpha = alpha
            same(run(compiled), run(make(attention, alpha=alpha)))
