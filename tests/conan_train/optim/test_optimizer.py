"""Muon against a few lines of float64, beside AdamW; its state goes through a checkpoint."""

from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from conan_data.errors import UserError
from conan_train.checkpoint.state import load_checkpoint, save_checkpoint
from conan_train.optim.config import OptimConfig
from conan_train.optim.groups import adamw, set_lr
from conan_train.optim.optimizer import MuonBesideAdamW, make_optimizer

MUON = OptimConfig(kind="muon", lr=0.02, weight_decay=0.1)


def model(*, tie: bool = True, seed: int = 0) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, tie_word_embeddings=tie,
        )
    )  # fmt: skip


def train(net: LlamaForCausalLM, optimizer: torch.optim.Optimizer, steps: range) -> None:
    for step in steps:
        ids = torch.randint(0, 40, (2, 12), generator=torch.Generator().manual_seed(step))
        net(ids, labels=ids).loss.backward()
        set_lr(optimizer, 0.02 / (step + 1))
        optimizer.step()
        optimizer.zero_grad()


def orthogonal(update: torch.Tensor) -> torch.Tensor:
    """Newton-Schulz as published: five times X <- aX + bXX'X + cXX'XX'X."""
    found = update / update.norm()
    turned = found.shape[0] > found.shape[1]
    found = found.T if turned else found
    for _ in range(5):
        square = found @ found.T
        found = 3.4445 * found - 4.7750 * square @ found + 2.0315 * square @ square @ found
    return found.T if turned else found


def test_two_steps_of_a_matrix_by_hand() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(6, 4, bias=False))
    weight, momentum = net[0].weight.detach().double().clone(), torch.zeros(4, 6, dtype=torch.float64)
    optimizer = make_optimizer(net, MUON)
    for step in range(2):
        gradient = torch.randn(4, 6, generator=torch.Generator().manual_seed(step))
        net[0].weight.grad = gradient.clone()
        optimizer.step()
        momentum = 0.95 * momentum + 0.05 * gradient.double()
        update = orthogonal(0.05 * gradient.double() + 0.95 * momentum)
        weight = weight * (1 - 0.02 * 0.1) - 0.02 * 0.2 * 6**0.5 * update
        # torch orthogonalises in bf16
        torch.testing.assert_close(net[0].weight.detach().double(), weight, atol=2e-3, rtol=0)
    assert (momentum.abs().max() > 0.01) and (update.abs().max() > 0.1)


@pytest.mark.parametrize("tie", [True, False])
def test_only_hidden_matrices_are_orthogonalised(tie: bool) -> None:
    net = model(tie=tie)
    optimizer = make_optimizer(net, MUON)
    assert isinstance(optimizer, MuonBesideAdamW)
    train(net, optimizer, range(1))
    with_momentum = {
        name for name, item in net.named_parameters() if "momentum_buffer" in optimizer.state[item]
    }
    assert with_momentum == {name for name, _ in net.named_parameters() if name.endswith("proj.weight")}
    assert all(
        "exp_avg" in optimizer.state[item]
        for name, item in net.named_parameters()
        if name not in with_momentum
    )
    grouped = [item for group in optimizer.param_groups for item in group["params"]]
    assert len(grouped) == len({id(item) for item in grouped}) == len(list(net.parameters()))
    decays = {id(item): group["weight_decay"] for group in optimizer.param_groups for item in group["params"]}
    assert decays[id(net.model.embed_tokens.weight)] == 0 and decays[id(net.model.norm.weight)] == 0


def test_what_is_beside_is_adamw() -> None:
    mixed, plain = model(), model()
    muon, reference = make_optimizer(mixed, MUON), adamw(plain, MUON)
    before = plain.model.embed_tokens.weight.detach().clone()
    train(mixed, muon, range(1))
    train(plain, reference, range(1))
    assert torch.equal(mixed.model.embed_tokens.weight, plain.model.embed_tokens.weight)
    assert torch.equal(mixed.model.norm.weight, plain.model.norm.weight)
    assert not torch.equal(before, plain.model.embed_tokens.weight)
    one, other = (net.model.layers[0].mlp.up_proj.weight for net in (mixed, plain))
    assert not torch.equal(one, other)


def test_a_checkpoint_continues_bit_by_bit(tmp_path: Path) -> None:
    whole, first, second = model(), model(), model(seed=9)
    train(whole, make_optimizer(whole, MUON), range(4))
    optimizer = make_optimizer(first, MUON)
    train(first, optimizer, range(2))
    saved = save_checkpoint(tmp_path, step=2, model=first, optimizer=optimizer)
    resumed = make_optimizer(second, MUON)
    load_checkpoint(saved, model=second, optimizer=resumed)
    train(second, resumed, range(2, 4))
    for one, other in zip(whole.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_kind_that_there_is_not() -> None:
    with pytest.raises(UserError, match="kind: must be one of"):
        OptimConfig(kind="sgd")  # type: ignore[arg-type]
