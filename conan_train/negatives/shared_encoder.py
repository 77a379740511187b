"""One encoder on all processes of a run, for a miner that knows of one process only.

The first process mines. Whatever texts it has encoded on the way are dealt to all processes, long and short ones
alike, and the vectors come back to it; the others wait for texts until the mining has ended. So any miner
uses all devices, whatever it chooses to encode, and none of it has to know about ranks.

The vectors are those of one process up to the last bits, for texts meet other texts in a batch; on as many
processes they are the same every time.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch
from accelerate import Accelerator

from conan_data.distributed import Ranks
from conan_data.mining.encoder import Encoder, Kind

# N texts, S texts of a process, D dimensions

T = TypeVar("T")
_NOTHING: tuple[Kind, list[str]] | None = None


class SharedEncoder:
    """`encoder` on all processes of `accelerator`; made in all of them, of the same weights."""

    def __init__(self, encoder: Encoder, ranks: Ranks, accelerator: Accelerator) -> None:
        self._encoder, self._ranks, self._accelerator = encoder, ranks, accelerator

    @property
    def fingerprint(self) -> str:
        return self._encoder.fingerprint

    @property
    def dimension(self) -> int:
        return self._encoder.dimension

    def encode(self, texts: Sequence[str], *, kind: Kind) -> np.ndarray:
        """In the first process only, within `lead`."""
        if self._ranks.world_size == 1:
            return self._encoder.encode(texts, kind=kind)
        self._ranks.share((kind, list(texts)))
        return self._take_part(list(texts), kind)

    def lead(self, mine: Callable[[], T]) -> T:
        """Return what `mine` returns in the first process, in all of them: the others encode what it asks for."""
        if self._ranks.is_leader:
            made = mine()
            self._ranks.share(None)
            return self._ranks.share(made)
        while (asked := self._ranks.share(_NOTHING)) is not None:
            kind, texts = asked
            self._take_part(texts, kind)
        return self._ranks.share(None)  # type: ignore[return-value]

    def _take_part(self, texts: list[str], kind: Kind) -> np.ndarray:
        """float32 [N, D], of all processes' shares."""
        world, rank = self._ranks.world_size, self._ranks.rank
        order_N = np.argsort([-len(text) for text in texts], kind="stable")
        size = -(-len(texts) // world)
        own_SD = np.zeros((size, self.dimension), np.float32)
        own = order_N[rank::world]
        if len(own):
            own_SD[: len(own)] = self._encoder.encode([texts[place] for place in own], kind=kind)
        gathered = self._accelerator.gather(torch.from_numpy(own_SD).to(self._accelerator.device))
        shares = gathered.cpu().numpy().reshape(world, size, self.dimension)
        vectors_ND = np.empty((len(texts), self.dimension), np.float32)
        for other in range(world):
            places = order_N[other::world]
            vectors_ND[places] = shares[other, : len(places)]
        return vectors_ND
