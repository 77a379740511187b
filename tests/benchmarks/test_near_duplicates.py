import pytest

from tests.benchmarks.near_duplicates import CORPUS, inject, true_similarity


def test_similarity_by_hand() -> None:
    """Of the two texts' 3 and 2 word 5-grams, 1 is shared."""
    assert true_similarity("A b c, d e f g", "b c d e f H") == 1 / 4
    assert true_similarity("one two", "one two") == 0


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the shared corpus is not there")
def test_copies_spread_over_the_similarities_that_matter() -> None:
    injected = inject(300, 200, seed=3)
    assert (len(injected.texts), len(injected.pairs)) == (500, 200)
    similarities = sorted(injected.pairs.values())
    assert similarities[20] < 0.65 < 0.7 < similarities[100] < 0.9 < similarities[-20]
    assert all(
        true_similarity(injected.texts[a], injected.texts[b]) == s for (a, b), s in injected.pairs.items()
    )
    assert injected == inject(300, 200, seed=3)
