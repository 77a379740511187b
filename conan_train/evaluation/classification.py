"""Classification: how well a simple classifier on the vectors tells the labels of texts it has not seen.

As in mteb, a classifier is fitted on a few texts of each label, and that is done several times with other texts; the
scores are means over these experiments. The interval is over the test texts, all experiments together: it does not
hold what other train texts would do, which is the spread of the experiments.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from conan_data.errors import UserError
from conan_data.pairs.labelled import LabelledTexts
from conan_train.evaluation.config import ClassificationEvaluationConfig
from conan_train.evaluation.intervals import percentile_interval, score_record

# T test texts, N train texts, E experiments, C labels, S resamples, V numbers of a vector

MAX_ITERATIONS = 100


def codes(train: LabelledTexts, test: LabelledTexts) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Labels as numbers [N] and [T], and their names. Raises `UserError` for a label of test that is not in
    train, or a train side of one label.
    """
    names = sorted(set(train.labels))
    if unknown := sorted(set(test.labels) - set(names)):
        raise UserError(
            f"classification.test: label {unknown[0]!r} is not in classification.train ({len(unknown)} such)"
        )
    if len(names) < 2:
        raise UserError(f"classification.train: has one label only, {names[0]!r}")
    place = {name: code for code, name in enumerate(names)}
    return (
        np.array([place[label] for label in train.labels]),
        np.array([place[label] for label in test.labels]),
        names,
    )


def score_classification(
    train: LabelledTexts,
    test: LabelledTexts,
    by_size: Sequence[tuple[int, np.ndarray, np.ndarray]],
    config: ClassificationEvaluationConfig,
    *,
    num_samples: int,
    seed: int,
) -> dict[str, Any]:
    """`by_size` are (size, vectors of train, vectors of test)."""
    train_N, test_T, names = codes(train, test)
    experiments = config.experiments if config.samples_per_label else 1
    drawn = [
        draw(train_N, config.samples_per_label, seed=[seed, experiment]) for experiment in range(experiments)
    ]
    scores = {}
    for size, train_NV, test_TV in by_size:
        predicted_ET = np.stack(
            [predict(train_NV[rows], train_N[rows], test_TV, config, seed=seed) for rows in drawn]
        )
        scores[str(size)] = _record(predicted_ET, test_T, len(names), num_samples=num_samples, seed=seed)
    return {
        "num_labels": len(names),
        "num_train": len(train_N),
        "num_test": len(test_T),
        "num_experiments": experiments,
        "scores": scores,
    }


def draw(label_N: np.ndarray, per_label: int, *, seed: list[int]) -> np.ndarray:
    """Rows of at most `per_label` texts of each label, in order; all for 0."""
    order_N = np.random.default_rng(seed).permutation(len(label_N))
    if not per_label:
        return np.arange(len(label_N))
    rows = [order_N[label_N[order_N] == code][:per_label] for code in np.unique(label_N)]
    return np.sort(np.concatenate(rows))


def predict(
    train_NV: np.ndarray,
    label_N: np.ndarray,
    test_TV: np.ndarray,
    config: ClassificationEvaluationConfig,
    *,
    seed: int,
) -> np.ndarray:
    """Labels [T] that the probe gives."""
    if config.probe == "knn":
        from sklearn.neighbors import KNeighborsClassifier

        neighbours = min(config.neighbours, len(label_N))
        return KNeighborsClassifier(neighbours, metric="cosine").fit(train_NV, label_N).predict(test_TV)
    from sklearn.linear_model import LogisticRegression

    probe = LogisticRegression(max_iter=MAX_ITERATIONS, random_state=seed)
    return probe.fit(train_NV, label_N).predict(test_TV)


def accuracy_and_f1(predicted_ET: np.ndarray, label_T: np.ndarray, num_labels: int) -> np.ndarray:
    """[2]: accuracy, and F1 averaged over the labels that are there or were given, both means over E."""
    accuracy = (predicted_ET == label_T).mean()
    true_C = np.bincount(label_T, minlength=num_labels)
    f1 = []
    for predicted_T in predicted_ET:
        given_C = np.bincount(predicted_T, minlength=num_labels)
        right_C = np.bincount(label_T[predicted_T == label_T], minlength=num_labels)
        there_C = true_C + given_C > 0
        f1.append((2 * right_C[there_C] / (true_C + given_C)[there_C]).mean())
    return np.array([accuracy, np.mean(f1)])


def _record(
    predicted_ET: np.ndarray, label_T: np.ndarray, num_labels: int, *, num_samples: int, seed: int
) -> dict[str, Any]:
    ends = percentile_interval(
        lambda rows_ST: np.stack(
            [accuracy_and_f1(predicted_ET[:, rows], label_T[rows], num_labels) for rows in rows_ST]
        ),
        len(label_T),
        num_samples=num_samples,
        seed=seed,
    )
    accuracy, macro_f1 = score_record(accuracy_and_f1(predicted_ET, label_T, num_labels), ends)
    by_experiment = (predicted_ET == label_T).mean(1)
    return {"accuracy": accuracy, "macro_f1": macro_f1, "accuracy_deviation": float(np.std(by_experiment))}
