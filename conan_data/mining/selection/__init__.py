"""Which of a query's nearest documents are taken as negatives: pure functions of arrays, without files or model.

`select` says in which order the filters are applied, `reasons` what each of them counts.
"""

from conan_data.mining.selection.pools import Pools
from conan_data.mining.selection.reasons import KEPT, MEANINGS, REASONS, add_counts
from conan_data.mining.selection.select import select
from conan_data.mining.selection.thresholds import reduce_positive_scores, thresholds

__all__ = [
    "KEPT",
    "MEANINGS",
    "REASONS",
    "Pools",
    "add_counts",
    "reduce_positive_scores",
    "select",
    "thresholds",
]
