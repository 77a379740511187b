import numpy as np
import pytest

from conan_data.corpus.dedup.config import DedupConfig
from conan_data.corpus.dedup.minhash import MinHash

FAMILY = MinHash.from_config(DedupConfig())


def random_set(rng: np.random.Generator, size: int) -> np.ndarray:
    return rng.integers(0, 2**64, size=size, dtype=np.uint64)


def test_signature_is_the_plain_one() -> None:
    values = random_set(np.random.default_rng(0), 50)
    pairs = zip(FAMILY.factors.tolist(), FAMILY.summands.tolist(), strict=True)
    plain = [min((a * (int(x) >> 32) + c) % 2**32 for x in values) for a, c in pairs]
    assert FAMILY.signature(values).tolist() == plain
    assert all(factor % 2 for factor in FAMILY.factors.tolist())


@pytest.mark.parametrize("similarity", [0.2, 0.5, 0.8])
def test_signatures_estimate_similarity(similarity: float) -> None:
    rng = np.random.default_rng(2)
    estimates = []
    for _ in range(40):
        shared, rest = np.split(random_set(rng, 400), [int(400 * similarity)])
        left, right = np.array_split(rest, 2)
        same = FAMILY.signature(np.append(shared, left)) == FAMILY.signature(np.append(shared, right))
        estimates.append(same.mean())
    assert np.mean(estimates) == pytest.approx(similarity, abs=0.03)


def test_bands_are_found_as_often_as_the_formula_says() -> None:
    rng = np.random.default_rng(3)
    found = 0
    for _ in range(300):
        shared, left, right = np.split(random_set(rng, 100), [70, 85])
        found += (
            FAMILY.band_keys(np.append(shared, left)) == FAMILY.band_keys(np.append(shared, right))
        ).any()
    assert found / 300 == pytest.approx(1 - (1 - 0.7**8) ** 14, abs=0.1)


def test_keys_depend_on_the_seed_and_the_whole_band() -> None:
    values = random_set(np.random.default_rng(4), 30)
    assert (FAMILY.band_keys(values) == MinHash.from_config(DedupConfig()).band_keys(values)).all()
    assert (FAMILY.band_keys(values) != MinHash.from_config(DedupConfig(seed=2)).band_keys(values)).all()
    assert len(FAMILY.band_keys(values)) == 14
