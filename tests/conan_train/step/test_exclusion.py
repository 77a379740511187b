import numpy as np
import pytest

from conan_train.step.exclusion import NO_GROUP, excluded_documents


@pytest.mark.parametrize("seed", range(10))
def test_equals_the_rule_cell_by_cell(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = random.choice(100, size=12, replace=False)
    groups = random.integers(NO_GROUP, 5, size=12)
    known = [[int(row) for row in random.choice(100, size=random.integers(0, 4))] for _ in range(6)]
    known[0] = [int(rows[3])]
    known_groups = [[int(group) for group in random.integers(NO_GROUP, 5, size=len(some))] for some in known]
    excluded = excluded_documents(rows, groups, known_rows=known, known_groups=known_groups)
    for query in range(6):
        for document in range(12):
            is_known = any(row == rows[document] for row in known[query])
            shares = any(group == groups[document] != NO_GROUP for group in known_groups[query])
            assert excluded[query, document] == (is_known or shares)
    assert excluded[0, 3] and not excluded.all()
