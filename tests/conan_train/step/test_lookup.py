"""One lookup for all buckets: the gradient of many lookups, by one scatter into the table."""

import pytest
import torch

from conan_train.step.lookup import looked_up_once

IDS = [torch.tensor([[1, 2, 3], [3, 0, 0]]), torch.tensor([[2], [5]])]


def test_the_gradient_is_that_of_many_lookups_with_one_scatter() -> None:
    torch.manual_seed(0)
    alone, joined = torch.nn.Embedding(7, 4, padding_idx=0), torch.nn.Embedding(7, 4, padding_idx=0)
    joined.load_state_dict(alone.state_dict())
    sum((alone(ids_BL) ** 2).sum() for ids_BL in IDS).backward()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        with looked_up_once(joined, IDS):
            total = sum((joined(ids_BL) ** 2).sum() for ids_BL in IDS)
        total.backward()
    torch.testing.assert_close(joined.weight.grad, alone.weight.grad, rtol=0, atol=0)
    assert alone.weight.grad[2].abs().max() > 1e-3 and not joined.weight.grad[0].any()
    counts = {event.key: event.count for event in profile.key_averages()}
    assert counts["aten::embedding_dense_backward"] == 1


def test_another_lookup_than_was_announced() -> None:
    embedding = torch.nn.Embedding(7, 4)
    with pytest.raises(AssertionError, match="announced"), looked_up_once(embedding, IDS):
        embedding(IDS[1])
    assert embedding(IDS[1]).shape == (2, 1, 4)
    assert not embedding._forward_hooks
