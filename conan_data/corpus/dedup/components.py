"""Connected components of documents that share buckets: they can be compared apart from each other, in
parallel.

A label is the smallest number of a component: labels go down along the edges and chains of labels are halved
(Shiloach and Vishkin 1982), until each edge joins equal ones. Edges come a block at a time, and labels lie in
an array that is mapped from a file.
"""

from collections.abc import Callable, Iterable

import numpy as np

from conan_data.corpus.records import blocks

BLOCK = 1 << 20


def label_components(
    labels: np.ndarray, edges: Callable[[], Iterable[tuple[np.ndarray, np.ndarray]]]
) -> None:
    """Fills `labels` (int64 [N]) with the smallest number of each document's component.

    `edges()` gives the edges as blocks of two arrays of numbers, any number of times.
    """
    for part in blocks(len(labels), BLOCK):
        labels[part] = np.arange(part.start, part.stop)
    joining = True
    while joining:
        joining = False
        for left, right in edges():
            of_left, of_right = labels[left], labels[right]
            apart = of_left != of_right
            if apart.any():
                joining = True
                low = np.minimum(of_left, of_right)[apart]
                for numbers in (of_left, of_right, left, right):
                    np.minimum.at(labels, numbers[apart], low)
        _shorten(labels)


def _shorten(labels: np.ndarray) -> None:
    """Lets every label point to the end of its chain."""
    changed = True
    while changed:
        changed = False
        for part in blocks(len(labels), BLOCK):
            before = labels[part]
            after = labels[before]
            if (after != before).any():
                labels[part], changed = after, True
