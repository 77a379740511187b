"""Whatever is typed or stands in a recipe: one line, exit code 2, soon, and nothing is written elsewhere."""

import itertools

import pytest

from tests.conan_train.path import fuzz

CASES = 1300


@pytest.fixture(scope="module", autouse=True)
def warm() -> None:
    """Import what the commands import, which would count as the first case's time."""
    for (program, name), values in fuzz.BASE.items():
        config = [] if name in ("run", "mine-service") else ["--out", "out"]
        tokens = [word for field, value in values.items() for word in fuzz.as_flags([field], value)]
        outcome = fuzz.run(fuzz.Case(program, [name, *tokens, *config], None))
        assert outcome.code == 2 and "Traceback" not in outcome.text, outcome


def test_hostile_command_lines_and_recipes_are_one_line_each() -> None:
    faults = [
        (outcome.fault, outcome)
        for case in itertools.islice(fuzz.cases(seed=1), CASES)
        if (outcome := fuzz.run(case)).fault
    ]
    assert not faults, f"{len(faults)} of {CASES}: {faults[:3]}"
