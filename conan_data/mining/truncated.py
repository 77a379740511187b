"""The first numbers of another encoder's vectors, as an `Encoder`: what a Matryoshka model is trained for.

A cut vector is not of length 1, and the dot product of two of them no cosine: they are scaled again here.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

from conan_data.errors import UserError
from conan_data.mining.encoder import Encoder, Kind


class TruncatedEncoder:
    """Raises `UserError` when `encoder` has fewer than `dims` dimensions."""

    def __init__(self, encoder: Encoder, dims: int) -> None:
        if not 1 <= dims <= encoder.dimension:
            raise UserError(f"dims: the model's vectors have {encoder.dimension} dimensions, got {dims}")
        self.encoder = encoder
        self.dimension = dims
        self.fingerprint = hashlib.sha256(f"first {dims} of {encoder.fingerprint}".encode()).hexdigest()

    def encode(self, texts: Sequence[str], *, kind: Kind) -> np.ndarray:
        """float32 [len(texts), dims], each row of length 1."""
        cut_ND = self.encoder.encode(texts, kind=kind)[:, : self.dimension]
        return cut_ND / np.linalg.norm(cut_ND, axis=1, keepdims=True).astype(np.float32)
