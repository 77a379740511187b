import json
import math
from dataclasses import asdict

import pytest

from conan_train.training.objective import Outcome
from conan_train.training.window import Window

STEPS = [
    (Outcome(loss=2.0, size=8, means={"score": (6.0, 8), "loss_by_language/en": (3.0, 2)}, counts={"cut": 1}), {"replaced": 2}, 0.5),
    (Outcome(loss=4.0, size=8, means={"score": (1.0, 2), "loss_by_language/de/at": (8.0, 2)}), {"replaced": 3}, 1.5),
    (Outcome(loss=3.0, size=4, means={"loss_by_language/en": (1.0, 2), "empty": (0.0, 0)}), {}, 2.0),
]  # fmt: skip


def filled(window: Window, steps: list[tuple[Outcome, dict[str, int], float]]) -> Window:
    for outcome, more, seconds in steps:
        window.add(outcome, more, seconds=seconds)
    return window


def test_means_are_of_sums_and_counts_and_not_of_means() -> None:
    figures = filled(Window(), STEPS).figures("queries")
    assert figures["loss"] == 3.0 and figures["score"] == 0.7  # not (0.75 + 0.5) / 2
    assert figures["loss_by_language"] == {"en": 1.0, "de/at": 4.0}
    assert math.isnan(figures["empty"])
    assert (figures["cut"], figures["replaced"], figures["queries_per_second"]) == (1, 5, 5.0)


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_a_window_that_went_through_a_checkpoint_shows_no_seam(place: int) -> None:
    saved = json.loads(json.dumps(asdict(filled(Window(), STEPS[:place]))))
    resumed = filled(Window(**saved), STEPS[place:])
    assert resumed.figures("queries").items() >= {"loss": 3.0, "score": 0.7, "replaced": 5}.items()
    assert asdict(resumed) == asdict(filled(Window(), STEPS))
