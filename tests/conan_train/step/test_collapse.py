import math

import numpy as np
import pytest
import torch

from conan_train.step.collapse import MAX_ROWS, collapse, effective_rank, warning


def random_vectors(num: int, dim: int, *, seed: int = 0) -> torch.Tensor:
    return torch.randn(num, dim, generator=torch.Generator().manual_seed(seed))


def test_the_mean_cosine_is_that_of_all_pairs() -> None:
    vectors = random_vectors(7, 5) + 0.5
    pairs = [
        torch.cosine_similarity(vectors[i], vectors[j], dim=0) for i in range(7) for j in range(7) if i != j
    ]
    assert collapse(vectors).mean_cosine == pytest.approx(float(torch.stack(pairs).mean()), abs=1e-6)
    assert math.isnan(collapse(vectors[:1]).mean_cosine)


def test_the_effective_rank_counts_directions() -> None:
    orthogonal = torch.from_numpy(np.linalg.qr(np.random.default_rng(0).normal(size=(40, 5)))[0])
    centred = torch.cat([orthogonal, -orthogonal])
    assert effective_rank(centred) == pytest.approx(5.0)
    singular = np.linalg.svd(random_vectors(30, 9).numpy() - random_vectors(30, 9).numpy().mean(0))[1]
    share = singular / singular.sum()
    assert effective_rank(random_vectors(30, 9).double()) == pytest.approx(
        float(np.exp(-(share * np.log(share)).sum())), rel=1e-5
    )
    assert effective_rank(torch.ones(6, 4)) == 0.0


def test_the_rank_is_of_a_bounded_number_of_rows() -> None:
    assert collapse(random_vectors(2000, 8)).num_rows == MAX_ROWS
    assert collapse(random_vectors(20, 8)).num_rows == 20


def test_healthy_vectors_get_no_warning() -> None:
    assert warning(collapse(random_vectors(100, 32)), loss=2.0, random_loss=4.0) is None
    assert warning(collapse(random_vectors(100, 32) + 0.5)) is None
    assert warning(collapse(random_vectors(3, 32))) is None  # too few to speak of directions


def test_collapsed_vectors_are_named() -> None:
    cone = random_vectors(100, 32) * 0.05 + 1.0
    assert "mean cosine of 1.00" in str(warning(collapse(cone)))
    plane = random_vectors(100, 2) @ random_vectors(2, 32, seed=1)
    assert "2.0 directions" in str(warning(collapse(plane)))
    assert "random guess" in str(warning(collapse(random_vectors(100, 32)), loss=4.59, random_loss=4.6))
    assert "normal up to step 1,000; if it stays, try a lower" in str(
        warning(collapse(cone), normal_until=1000)
    )
    assert collapse(torch.ones(20, 4)).mean_cosine == pytest.approx(1.0)
