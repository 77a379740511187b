"""The processes of one command that torchrun or accelerate started: the only protocol of ranks.

Every rank runs the same command. Rank 0 leads: it alone opens, locks and publishes the output, and what it finds out
for all (`Ranks.lead`) reaches the others by a broadcast; files are shared through a folder, so little crosses.

A rank that fails must not leave the others waiting for a word that never comes. So the first rank whose work raises
writes its exit code into the store through which the ranks met, and speaks for all; a thread of each rank looks there
every half second, and ends its rank with the same code and without a word (`SaidElsewhereError`), whatever that was
doing. A rank that was killed cannot write: its peers notice the broken connection, and one of them says so. Waiting is
not limited otherwise, for one rank may encode for a day while the others wait.

Nothing here imports torch before a group of several ranks is needed.
"""

import contextlib
import functools
import itertools
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from conan_data import artifact, interruption
from conan_data.config import StageConfig
from conan_data.errors import SaidElsewhereError, UnfinishedError, UserError
from conan_data.launch import launched, set_has_met

T = TypeVar("T")

SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_TO_HEAR = 3.0
"""How long a rank that failed stays, so that the others see why."""
SECONDS_TO_END = 5.0
"""How long a rank may go on after another one failed, before it is ended."""
_TO_MEET = timedelta(minutes=30)
_LONG = timedelta(days=7)
_FAILURE, _HEARD, _HERE = "failure", "heard", "here"
_uses = itertools.count()


@dataclass(frozen=True)
class Ranks:
    """This process's place among `world_size`; a rank over 0 follows rank 0."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0

    @property
    def is_leader(self) -> bool:
        return self.rank == 0

    def share(self, value: T) -> T:
        """Rank 0's `value` on all ranks, as JSON gives it back (a tuple becomes a list); waits for rank 0."""
        if self.world_size == 1:
            return value
        import torch
        import torch.distributed as dist

        sent = bytearray(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))
        size = torch.tensor([len(sent)])
        dist.broadcast(size, src=0)
        content = torch.frombuffer(sent if self.is_leader else bytearray(int(size)), dtype=torch.uint8)
        dist.broadcast(content, src=0)
        return json.loads(content.numpy().tobytes().decode("utf-8", "surrogatepass"))

    def lead(self, make: Callable[[], T]) -> T:
        """What `make` returns on rank 0, on all ranks; all have to call it. Where it raises, all end."""
        return self.share(make() if self.is_leader else None)  # type: ignore[return-value]

    def wait(self) -> None:
        """Returns when all ranks are here."""
        if self.world_size > 1:
            import torch
            import torch.distributed as dist

            dist.all_reduce(torch.zeros(1))

    def device(self, device: str) -> str:
        """`device` for this process; several on one host take a GPU each."""
        from conan_data.mining.encoder import resolve_device

        found = resolve_device(device)
        if self.world_size > 1 and found == "cuda":
            import torch

            return f"cuda:{self.local_rank % torch.cuda.device_count()}"
        return found


ALONE = Ranks()


@contextmanager
def ranks(*, trains: bool = False) -> Iterator[Ranks]:
    """The processes that a launcher started, or this one alone; with `trains`, tensors cross on GPUs as well.

    Where the block raises on any rank, it raises on all: on one of them what it raised, on the others
    `SaidElsewhereError`.
    """
    rank, world_size = launched()
    if world_size == 1:
        yield ALONE
        return
    import torch
    import torch.distributed as dist

    # Under a prefix of its own: a second group would find the addresses of the first, which are gone.
    store = dist.PrefixStore(f"conan-{next(_uses)}", _store())
    alarm = _Alarm(store, rank, world_size)
    try:
        alarm.meet()
        backend = "cpu:gloo,cuda:nccl" if trains and torch.cuda.is_available() else "gloo"
        dist.init_process_group(backend, timeout=_LONG, store=store, rank=rank, world_size=world_size)
        place = Ranks(rank, world_size, dist.get_node_local_rank(fallback_rank=rank))
        yield place
        # What is sent and not yet read is lost when the sender leaves.
        place.wait()
    except BaseException as error:
        # Before this rank leaves the group, at which the others would hear of nothing but a broken connection.
        raised = alarm.agree(error)
        if raised is error:
            raise
        raise raised from error
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
        alarm.close()


@contextmanager
def building(
    config: StageConfig, own: Ranks, *, kind: str, command: str, inputs: Callable[[], Iterable[str | Path]]
) -> Iterator[artifact.Build]:
    """`artifact.building` of a stage that can resume, on all ranks: rank 0 opens, locks and publishes; the others get
    the same directory, and never publish. `inputs` is called on rank 0.
    """
    with contextlib.ExitStack() as stack:

        def opened() -> artifact.Build:
            return stack.enter_context(
                artifact.building(config, kind=kind, command=command, inputs=inputs(), resume=True)
            )

        build = opened() if own.is_leader else None
        opened_here: Any = (str(build.dir), build.done, build.header) if build else None
        directory, done, header = own.share(opened_here)
        yield build or artifact.Build(out=Path(config.out), dir=Path(directory), done=done, header=header)


def exit_code(error: BaseException) -> int:
    """The exit code of a process that ends by `error`."""
    if isinstance(error, interruption.Interrupted | SaidElsewhereError):
        return error.code
    if isinstance(error, KeyboardInterrupt):
        return 130
    return 2 if isinstance(error, UserError | OSError) else 1


@functools.cache
def _store() -> Any:
    """Where the ranks of this process's launcher meet; one for all groups of a process."""
    import torch.distributed as dist

    store, _, _ = next(dist.rendezvous("env://", timeout=_TO_MEET))
    return store


class _Alarm:
    """Tells the other ranks that this one failed, and this one that another did."""

    def __init__(self, store: Any, rank: int, world_size: int) -> None:
        self._store, self._rank, self._world_size = store, rank, world_size
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="ranks", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread."""
        self._is_over.set()
        self._thread.join()

    def meet(self) -> None:
        """Returns when all ranks are here. Not by a call that blocks, in which no signal would be heard."""
        set_has_met()
        self._store.add(_HERE, 1)
        while self._store.add(_HERE, 0) < self._world_size:
            time.sleep(0.02)

    def _watch(self) -> None:
        while not self._is_over.wait(SECONDS_BETWEEN_LOOKS):
            try:
                if not self._store.check([_FAILURE]):
                    continue
                failure = json.loads(self._store.get(_FAILURE))
                if failure["rank"] == self._rank:
                    return
                self._store.add(_HEARD, 1)
            except RuntimeError:
                # The store ends with the process that holds it; the connections to that process end as well.
                return
            interruption.raise_in_main(SaidElsewhereError(code=failure["code"]))
            if not self._is_over.wait(SECONDS_TO_END):
                os._exit(failure["code"])
            return

    def agree(self, error: BaseException) -> BaseException:
        """What this rank raises in place of `error`; the first that fails stays until the others have heard."""
        interruption.ignore_from_now()
        if isinstance(error, SaidElsewhereError):
            return error
        if _is_broken_connection(error):
            reason = str(error).splitlines()[0][:200]
            error = UnfinishedError(
                "another process of this run was killed or lost, most often for lack of memory; run the same command "
                f"again to go on ({reason})"
            )
        own = json.dumps({"rank": self._rank, "code": exit_code(error)})
        try:
            first = self._store.compare_set(_FAILURE, "", own).decode()
            if first != own:
                return SaidElsewhereError(code=json.loads(first)["code"])
            until = time.monotonic() + SECONDS_TO_HEAR
            while self._store.add(_HEARD, 0) < self._world_size - 1 and time.monotonic() < until:
                time.sleep(0.05)
        except RuntimeError:
            pass
        return error


def _is_broken_connection(error: BaseException) -> bool:
    """Whether a peer has left in the middle of a collective."""
    import torch.distributed as dist

    return isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error))
