"""Vectors of texts that are scored without a search, in whole and cut for Matryoshka."""

from collections.abc import Iterator, Sequence

import numpy as np

from conan_data.errors import UserError
from conan_data.mining.encoder import Encoder, encode_shown

# D texts, V numbers of a vector


def encode_distinct(encoder: Encoder, texts: Sequence[str]) -> np.ndarray:
    """float32 [D, V] of `texts`, each distinct one encoded once, as queries: that is the side of a model whose
    prompt is about what a text is wanted for.
    """
    place = {text: row for row, text in enumerate(dict.fromkeys(texts))}
    vectors = encode_shown(encoder, list(place), kind="query")
    return vectors[[place[text] for text in texts]]


def cuts(vectors_DV: np.ndarray, dims: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
    """(size, unit vectors of that size): all of it first, then the first numbers for each of `dims`."""
    width = vectors_DV.shape[1]
    yield width, vectors_DV
    for dim in check_dims(dims, width):
        yield dim, unit(vectors_DV[:, :dim])


def check_dims(dims: Sequence[int], width: int) -> list[int]:
    """`dims` below `width`, each once, in order. Raises `UserError` for one that is larger."""
    if dims and max(dims) > width:
        raise UserError(f"dims: the model's vectors have {width} dimensions, got {max(dims)}")
    return [dim for dim in dict.fromkeys(dims) if dim < width]


def unit(vectors_DV: np.ndarray) -> np.ndarray:
    """Each row scaled to length 1; a row of zeros stays."""
    length_D = np.linalg.norm(vectors_DV.astype(np.float32), axis=1, keepdims=True)
    return vectors_DV.astype(np.float32) / np.maximum(length_D, np.finfo(np.float32).tiny)
