"""A packed row gives every document what it gets alone; models for which that is not so are refused."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from conan_data.errors import UserError
from conan_train.pretrain.borders import check_borders, packed_logits
from conan_train.pretrain.losses import batch_losses
from conan_train.pretrain.packing import Batch, Rows


def llama(**fields: Any) -> LlamaForCausalLM:
    torch.manual_seed(0)
    shape = {
        "vocab_size": 97,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
    }
    return LlamaForCausalLM(
        LlamaConfig(**{**shape, "num_key_value_heads": 2, "initializer_range": 0.3, **fields})
    ).eval()


def rows_of(lengths: list[int], length: int) -> tuple[Rows, np.ndarray, np.ndarray]:
    starts = np.concatenate([[0], np.cumsum(lengths)])
    ids = np.random.default_rng(0).integers(0, 97, starts[-1]).astype(np.uint16)
    return Rows(ids, starts, np.arange(len(lengths)), length=length, seed=0), ids, starts


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@torch.no_grad()
def test_packed_equals_alone(attention: str) -> None:
    model = llama(attn_implementation=attention)
    rows, _, _ = rows_of([5, 1, 9, 13, 2, 30, 7, 20, 9], 24)
    batch = rows.batch(0, rows.per_epoch)
    packed = packed_logits(model, torch.from_numpy(batch.ids), torch.from_numpy(batch.positions))
    num_compared = 0
    for row in range(len(batch.ids)):
        borders = [*np.flatnonzero(batch.positions[row] == 0).tolist(), batch.ids.shape[1]]
        for first, end in itertools.pairwise(borders):
            alone = model(torch.from_numpy(batch.ids[row : row + 1, first:end]), use_cache=False).logits
            torch.testing.assert_close(packed[row : row + 1, first:end], alone, atol=1e-5, rtol=1e-5)
            num_compared += 1
    assert num_compared > rows.per_epoch
    leaking = model(torch.from_numpy(batch.ids), use_cache=False).logits
    assert (leaking - packed).abs().max() > 0.1, "without borders it would be another result"


def test_loss_equals_a_loop_over_documents() -> None:
    model = llama().double()
    rows, _, _ = rows_of([5, 1, 9, 13, 2, 30, 7, 20, 9], 24)
    batch = rows.batch(0, rows.per_epoch)
    loss = batch_losses(model, batch, torch.device("cpu")).total
    loss.backward()
    found = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    expected = torch.zeros((), dtype=torch.float64)
    for ids, positions, labels in zip(batch.ids, batch.positions, batch.labels, strict=True):
        borders = [*np.flatnonzero(positions == 0).tolist(), len(ids)]
        for first, end in itertools.pairwise(borders):
            logits = model(torch.from_numpy(ids[None, first:end]), use_cache=False).logits[0]
            for place in range(first, end):
                if labels[place] >= 0:
                    expected = expected - torch.log_softmax(logits[place - first], dim=-1)[labels[place]]
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    for name, parameter in model.named_parameters():
        assert parameter.grad.abs().max() > 0
        torch.testing.assert_close(found[name], parameter.grad, atol=1e-4, rtol=1e-4)


def test_a_good_model_passes(model_dir: Path) -> None:
    check_borders(llama())
    check_borders(AutoModelForCausalLM.from_pretrained(model_dir))


def test_a_bidirectional_model_is_refused() -> None:
    with pytest.raises(UserError, match="sees its future"):
        check_borders(llama(is_causal=False))


class Leaky(LlamaForCausalLM):
    """Passes an attention mask of ones, with which transformers looks for no borders."""

    def forward(self, input_ids: torch.Tensor, attention_mask: None = None, **fields: Any) -> Any:
        return super().forward(input_ids, attention_mask=torch.ones_like(input_ids), **fields)


def test_a_leaking_model_is_refused() -> None:
    with pytest.raises(UserError, match="packed into one row see each other"):
        check_borders(Leaky(llama().config))


def test_batch_counts_its_labels() -> None:
    batch = Batch(*(np.asarray([row]) for row in ([1, 2, 3], [0, 1, 0], [2, -100, -100], [0, 0, 1])))
    assert batch.num_labels == 1
