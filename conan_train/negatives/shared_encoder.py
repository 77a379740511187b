"""One encoder on all processes of a run, for a miner that knows of one process only.

The first process mines. Whatever texts it has encoded on the way are dealt to all processes, long and short ones
alike, and the vectors come back to it; the others wait in `serve` for texts until the mining has ended. So any miner
uses all devices, whatever it chooses to encode, and none of it has to know about ranks.

The vectors are those of one process up to the last bits, for texts meet other texts in a batch; on as many
processes they are the same every time.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from conan_data.mining.encoder import Encoder, Kind

# N texts, S texts of a process, D dimensions

_Ask = tuple[Kind, list[str]] | None


class SharedEncoder:
    """`encoder` on all processes of `accelerator`; made in all of them, of the same weights."""

    def __init__(self, encoder: Encoder, accelerator: Accelerator) -> None:
        self._encoder, self._accelerator = encoder, accelerator

    @property
    def fingerprint(self) -> str:
        return self._encoder.fingerprint

    @property
    def dimension(self) -> int:
        return self._encoder.dimension

    def encode(self, texts: Sequence[str], *, kind: Kind) -> np.ndarray:
        """In the first process only, while the others are in `serve`."""
        if self._accelerator.num_processes == 1:
            return self._encoder.encode(texts, kind=kind)
        asked: list[_Ask] = [(kind, list(texts))]
        broadcast_object_list(asked)
        return self._take_part(list(texts), kind)

    @contextmanager
    def leading(self) -> Iterator[None]:
        """Around the work of the first process; ends that of the others, whatever happens."""
        try:
            yield
        finally:
            if self._accelerator.num_processes > 1:
                broadcast_object_list([None])

    def serve(self) -> None:
        """What the other processes do meanwhile."""
        while True:
            asked: list[_Ask] = [None]
            broadcast_object_list(asked)
            if asked[0] is None:
                return
            kind, texts = asked[0]
            self._take_part(texts, kind)

    def _take_part(self, texts: list[str], kind: Kind) -> np.ndarray:
        """float32 [N, D], of all processes' shares."""
        world, rank = self._accelerator.num_processes, self._accelerator.process_index
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
