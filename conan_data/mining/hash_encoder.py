"""A stand-in for an `Encoder`: deterministic, instant, and it fails when it is told to.

Texts with words in common get vectors that are close, so that search and mining can be followed by eye and
tested without a model.
"""

import hashlib
from collections.abc import Collection, Sequence

import numpy as np

from conan_data.mining.encoder import Kind


class HashEncoder:
    """Each word is a fixed random direction, a text the sum of its words; an empty text is a direction of its
    own.

    `fail_on` names calls (from 0) that raise `PlantedError`; `calls` records the texts of every call, failed
    ones included.
    """

    def __init__(self, *, dimension: int = 64, salt: str = "", fail_on: Collection[int] = ()) -> None:
        self.dimension = dimension
        self.fingerprint = hashlib.sha256(f"hash-encoder {dimension} {salt}".encode()).hexdigest()
        self.calls: list[tuple[Kind, list[str]]] = []
        self._salt = salt
        self._fail_on = frozenset(fail_on)

    def encode(self, texts: Sequence[str], *, kind: Kind) -> np.ndarray:
        call = len(self.calls)
        self.calls.append((kind, list(texts)))
        if call in self._fail_on:
            raise PlantedError(f"call {call} fails, as it was told to")
        sums = np.array(
            [np.sum([self._direction(word) for word in text.split() or [""]], axis=0) for text in texts]
        )
        return (
            (sums / np.linalg.norm(sums, axis=1, keepdims=True))
            .astype(np.float32)
            .reshape(len(texts), self.dimension)
        )

    def _direction(self, word: str) -> np.ndarray:
        digest = hashlib.blake2b(f"{self._salt} {word.casefold()}".encode(), digest_size=8).digest()
        return np.random.default_rng(int.from_bytes(digest, "little")).standard_normal(self.dimension)


class PlantedError(RuntimeError):
    """The failure that a test planted."""
