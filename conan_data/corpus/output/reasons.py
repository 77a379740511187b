"""Why a document that passed all steps is not in the corpus after all."""

import numpy as np

from conan_data.corpus.workspace import Workspace, opened, survivors

REASONS = ("", "exact-duplicate", "url-duplicate", "near-duplicate", "in-reference")


def reasons(work: Workspace, numbers: np.ndarray) -> np.ndarray:
    """int8: for each of `numbers` a place in `REASONS`; 0 for what stays.

    The copy of a document that is itself a near duplicate counts as a near duplicate of the same one.
    """
    stay = survivors(work, "near")[numbers]
    codes = np.full(len(numbers), REASONS.index("near-duplicate"), dtype=np.int8)
    if work.dedup.url:
        codes[stay == survivors(work, "url")[numbers]] = REASONS.index("url-duplicate")
    codes[stay == survivors(work, "exact")[numbers]] = REASONS.index("exact-duplicate")
    codes[stay >= opened(work).first_reference] = REASONS.index("in-reference")
    codes[stay == numbers] = 0
    return codes
