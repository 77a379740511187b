"""The processes of one `torchrun` that mine together: who is who, and waiting for each other.

Files are shared through a folder, so little crosses: "go on", "done already", and hits. It crosses by gloo,
on any device. The wait is long on purpose: ranks wait for the one that encodes longest, and a process that dies ends the
others through torchrun.
"""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist

from conan_data.mining.encoder import resolve_device

_LONG = timedelta(days=7)
_uses = itertools.count()


@dataclass(frozen=True)
class Ranks:
    """This process's place among `world_size`."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0

    def announce(self, state: int) -> int:
        """Rank 0's `state`, on all ranks; waits for all."""
        if self.world_size == 1:
            return state
        told = torch.tensor([state])
        dist.broadcast(told, src=0)
        return int(told.item())

    def wait(self) -> None:
        """Returns when all ranks are here."""
        if self.world_size > 1:
            dist.barrier()

    def device(self, device: str) -> str:
        """`device` for this process; several on one host take a GPU each."""
        found = resolve_device(device)
        if self.world_size > 1 and found == "cuda":
            return f"cuda:{self.local_rank % torch.cuda.device_count()}"
        return found


ALONE = Ranks()


@contextmanager
def ranks() -> Iterator[Ranks]:
    """The processes that torchrun started, or this one alone."""
    if not dist.is_torchelastic_launched():
        yield ALONE
        return
    # Under a prefix of its own: a second group would find the addresses of the first, which are gone.
    store, rank, world_size = next(dist.rendezvous("env://", timeout=_LONG))
    own_store = dist.PrefixStore(f"mining-{next(_uses)}", store)
    dist.init_process_group("gloo", timeout=_LONG, store=own_store, rank=rank, world_size=world_size)
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size(), dist.get_node_local_rank(fallback_rank=0))
        # What is sent and not yet read is lost when the sender leaves.
        dist.barrier()
    finally:
        dist.destroy_process_group()
