"""Whatever is typed or stands in a recipe: one line, exit code 2, soon, and nothing is written elsewhere."""

import itertools

from tests.conan_train.path import fuzz

CASES = 1300


def test_hostile_command_lines_and_recipes_are_one_line_each() -> None:
    fuzz.warm()
    faults = [
        (outcome.fault, outcome)
        for case in itertools.islice(fuzz.cases(seed=1), CASES)
        if (outcome := fuzz.run(case)).fault
    ]
    assert not faults, f"{len(faults)} of {CASES}: {faults[:3]}"
