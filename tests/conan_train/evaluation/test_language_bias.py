"""The language bias of an evaluation comes from the same vectors, and is left out where it means nothing."""

import numpy as np

from conan_data.mining.embeddings import Embeddings
from conan_train.evaluation.evaluation_set import Documents, EvaluationSet, Queries
from conan_train.evaluation.language_bias import score_language_bias
from conan_train.evaluation.ranking import EncoderRanker


def evaluation(languages=("de", "en"), number=30):
    """Each topic is asked in each language and answered in each; vectors are topics with a step by language."""
    generator = np.random.default_rng(0)
    topics = generator.normal(size=(number, 16))
    steps = 3 * generator.normal(size=(len(languages), 16))
    vectors = (topics[:, None] + steps[None]).reshape(-1, 16).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = [f"{topic:02}@{language}" for topic in range(number) for language in languages]
    tags = np.array(list(languages) * number)
    size = len(languages)
    data = EvaluationSet(
        Queries(names, names, tags, [name.split("@")[0] for name in names]),
        Documents(names, names, tags),
        [{size * (row // size) + other: 1 for other in range(size)} | {10_000: 1} for row in range(len(names))],
        [[] for _ in names], 0, len(names), {}, {},
    )  # fmt: skip
    side = Embeddings.from_array(vectors)
    return EncoderRanker("f", side, side, device="cpu"), data


def test_a_step_by_language_is_measured_and_subtracted():
    found = score_language_bias(*evaluation())
    assert found is not None and (found["queries"], found["texts"], found["k"]) == (60, 60, 10)
    assert found["plain"]["bias"] > 1.8 and found["plain"]["found_by_direction"]["de"]["de"] == 1.0
    assert found["plain"]["found_by_direction"]["de"]["en"] < 0.3
    assert found["centred"]["found"] == 1.0


def test_one_language_has_no_bias():
    assert score_language_bias(*evaluation(languages=("de",))) is None
