import pytest
import torch

from conan_train.model.embedder import Embedder
from conan_train.step.encode import embed_in_buckets

TEXTS = [[5, 6, 7], [8], [9, 10, 11, 12, 13, 14], [5, 6, 7], [15, 16], [17, 18, 19, 20], [8], [6, 7, 5]]


class Counting(torch.nn.Module):
    """A data-parallel wrapper, as far as a caller sees, that notes the shapes it is called with."""

    def __init__(self, module: Embedder) -> None:
        super().__init__()
        self.module = module
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        self.shapes.append(tuple(ids.shape))
        return self.module(ids, mask)


@pytest.mark.parametrize("budget", [1, 8, 1000])
def test_equals_one_text_at_a_time(embedder: Embedder, budget: int) -> None:
    vectors = embed_in_buckets(embedder, TEXTS, budget=budget)
    direction = torch.randn(vectors.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    (vectors * direction).sum().backward()
    gradients = [parameter.grad.clone() for parameter in embedder.parameters()]
    embedder.zero_grad()
    alone = torch.cat([embedder(torch.tensor([tokens]), torch.ones(1, len(tokens))) for tokens in TEXTS])
    (alone * direction).sum().backward()
    torch.testing.assert_close(vectors, alone, rtol=0, atol=1e-12)
    for gradient, parameter in zip(gradients, embedder.parameters(), strict=True):
        assert parameter.grad.abs().max() > 1e-3
        torch.testing.assert_close(gradient, parameter.grad, rtol=0, atol=1e-12)


def test_repeated_texts_are_computed_once(embedder: Embedder) -> None:
    wrapped = Counting(embedder)
    vectors = embed_in_buckets(wrapped, TEXTS, budget=8)
    assert wrapped.shapes == [(1, 6), (2, 4), (2, 3), (1, 1)]
    assert torch.equal(vectors[0], vectors[3]) and torch.equal(vectors[1], vectors[6])
    assert not torch.equal(vectors[0], vectors[7])
