import numpy as np
import pytest
import torch

from conan_train.model.pooling import mean_pool, skip_first, unit_mean

MASKS = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 1, 1, 1]])


def test_equals_a_loop_over_real_tokens() -> None:
    states = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    for row in range(3):
        tokens = [states[row, place].double().numpy() for place in range(5) if MASKS[row, place]]
        mean = sum(tokens) / len(tokens)
        np.testing.assert_allclose(mean_pool(states, MASKS)[row], mean, atol=1e-6)
        np.testing.assert_allclose(unit_mean(states, MASKS)[row], mean / np.linalg.norm(mean), atol=1e-6)


def test_padding_has_no_say_even_when_it_is_not_a_number() -> None:
    states = torch.ones(3, 5, 4).masked_fill(~MASKS.bool()[:, :, None], torch.nan)
    assert torch.equal(mean_pool(states, MASKS), torch.ones(3, 4))


def test_sums_in_float32() -> None:
    """300 bf16 values of 1.0078125: a sum in bf16 would stop at 256."""
    states = torch.full((1, 300, 2), 1.0078125, dtype=torch.bfloat16)
    pooled = mean_pool(states, torch.ones(1, 300))
    assert pooled.dtype == torch.float32
    assert pooled[0, 0].item() == pytest.approx(1.0078125, rel=1e-6)


def test_prompt_tokens_are_skipped_on_either_side() -> None:
    assert skip_first(MASKS, 2).int().tolist() == [[0, 0, 1, 1, 1], [0, 0, 0, 0, 0], [0, 0, 0, 0, 1]]
    assert skip_first(MASKS, torch.tensor([0, 1, 2])).int().tolist() == [
        [1, 1, 1, 1, 1],
        [0, 1, 0, 0, 0],
        [0, 0, 0, 0, 1],
    ]
