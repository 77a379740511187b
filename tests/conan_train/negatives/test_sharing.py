"""Services that encode one refresh together: what they publish is what one publishes, whoever is killed meanwhile."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from conan_data.errors import UserError
from conan_data.mining.config import SelectionConfig
from conan_train.negatives.claim import Claims
from conan_train.negatives.inbox import Inbox, generations_in
from conan_train.negatives.miner import FullMiner
from conan_train.negatives.service import Service
from conan_train.negatives.sharing import SharedShards
from conan_train.negatives.snapshot import SnapshotWriter
from tests.conan_train.negatives.depth.world import WorldEncoder, make_pairs

PAIRS = make_pairs()
SHARD = 64
NUM_SHARDS = -(-60 // SHARD) + -(-600 // SHARD)
SET = SimpleNamespace(name="retrieval", pairs=PAIRS, store="negatives", num_negatives=3)
WAIT = 120


class CountingEncoder(WorldEncoder):
    """Does something at a shard's beginning and end; `num_shards` is how many it has encoded."""

    def __init__(self, before: Callable[[int], object], after: Callable[[int], object]) -> None:
        super().__init__(0)
        self.before, self.after, self.num_shards = before, after, 0

    def encode(self, texts: Sequence[str], *, kind: str) -> np.ndarray:
        if len(texts) < 24:  # a sample that is compared, not a shard
            return super().encode(texts, kind=kind)
        self.before(self.num_shards)
        vectors = super().encode(texts, kind=kind)
        self.num_shards += 1
        self.after(self.num_shards)
        return vectors


def nothing(_: int) -> None:
    pass


def killed_at(number: int) -> Callable[[int], None]:
    return lambda now: os.kill(os.getpid(), signal.SIGKILL) if now == number else None


def open_inbox(folder: Path) -> Inbox:
    """Of a run that has given the weights of its start."""
    inbox = Inbox(folder / "out")
    inbox.weights.mkdir(parents=True)
    inbox.claims.mkdir()
    give_weights(inbox, 0)
    return inbox


def give_weights(inbox: Inbox, step: int) -> None:
    writer = SnapshotWriter(torch.nn.Linear(2, 3), inbox.weights, rank=0, world_size=1)
    writer.write(step)
    writer.close()


def service(
    inbox: Inbox,
    name: str,
    before: Callable[[int], object] = nothing,
    after: Callable[[int], object] = nothing,
) -> tuple[Service, CountingEncoder]:
    encoder = CountingEncoder(before, after)
    claims = Claims(inbox.claims)

    def shared_of(served: SimpleNamespace, step: int) -> SharedShards:
        folder = inbox.shards(served.name, step)
        return SharedShards(folder=folder, claims=claims, shard_size=SHARD, poll=0.01)

    miner = FullMiner(
        pairs=PAIRS,
        selection=SelectionConfig(pool_size=8, depth=12, margin=1.0),
        memory=1 << 22,
        device="cpu",
        folder=inbox.folder / "services" / name,
        shared=lambda step: shared_of(SET, step),
    )
    found = Service(
        inbox=inbox,
        is_current=inbox.folder.exists,
        sets=[SET],
        encoder_of=lambda _: encoder,
        miner_of=lambda _: miner,
        window_of=lambda *_: np.arange(PAIRS.num_queries),
        claims=claims,
        shared_of=shared_of,
    )
    return found, encoder


def published(inbox: Inbox) -> tuple[str, bytes]:
    """Name and pools of the one generation; nothing of the encoding is left."""
    [(_, path)] = generations_in(inbox.generations("negatives"))
    assert not list((inbox.folder / "shards").glob("*"))
    return path.name, next(path.glob("*.parquet")).read_bytes()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, bytes]:
    inbox = open_inbox(tmp_path_factory.mktemp("alone"))
    found, encoder = service(inbox, "a")
    assert found.mine_newest() and encoder.num_shards == NUM_SHARDS
    return published(inbox)


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return open_inbox(tmp_path)


def in_child(work: Callable[[], object]) -> int | None:
    """Exit code of a process that does `work`."""
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join(WAIT)
    return process.exitcode


def leading(inbox: Inbox, goes_on: threading.Event) -> tuple[threading.Thread, CountingEncoder]:
    """A service that has begun a refresh, and whose first shard ends no sooner than it is told."""
    has_begun = threading.Event()

    def before(number: int) -> None:
        if number == 0:
            has_begun.set()
            assert goes_on.wait(WAIT)

    leader, encoder = service(inbox, "leader", before)
    thread = threading.Thread(target=leader.mine_newest, daemon=True)
    thread.start()
    assert has_begun.wait(WAIT)
    return thread, encoder


def test_two_services_share_the_shards_of_a_refresh(inbox: Inbox, alone: tuple[str, bytes]) -> None:
    goes_on = threading.Event()
    thread, leading_encoder = leading(inbox, goes_on)
    helper, encoder = service(inbox, "helper", after=lambda number: goes_on.set() if number == 3 else None)
    assert not helper.mine_newest()
    thread.join(WAIT)
    assert published(inbox) == alone
    assert encoder.num_shards >= 3 and leading_encoder.num_shards >= 1
    assert encoder.num_shards + leading_encoder.num_shards == NUM_SHARDS


def test_a_refresh_under_way_is_helped_before_newer_weights_are_mined(
    inbox: Inbox, alone: tuple[str, bytes]
) -> None:
    goes_on = threading.Event()
    thread, _ = leading(inbox, goes_on)
    give_weights(inbox, 5)
    helper, encoder = service(inbox, "helper", after=lambda number: goes_on.set() if number == 3 else None)
    assert not helper.mine_newest() and encoder.num_shards >= 3
    thread.join(WAIT)
    assert published(inbox) == alone
    assert helper.mine_newest()
    assert [step for step, _ in generations_in(inbox.generations("negatives"))] == [0, 5]


def test_the_shard_of_a_killed_helper_is_encoded_again(inbox: Inbox, alone: tuple[str, bytes]) -> None:
    goes_on = threading.Event()
    thread, encoder = leading(inbox, goes_on)
    helper, _ = service(inbox, "helper", before=killed_at(2))
    assert in_child(helper.mine_newest) == -signal.SIGKILL
    assert len(list(inbox.claims.glob("*.lock"))) == 3, "of the refresh, of its shard, of the killed one's"
    goes_on.set()
    thread.join(WAIT)
    assert published(inbox) == alone
    assert encoder.num_shards == NUM_SHARDS - 2


def test_who_helped_a_killed_service_mines_in_its_place(inbox: Inbox, alone: tuple[str, bytes]) -> None:
    leader, _ = service(inbox, "leader", before=killed_at(3))
    assert in_child(leader.mine_newest) == -signal.SIGKILL
    successor, encoder = service(inbox, "successor")
    assert successor.mine_newest()
    assert published(inbox) == alone
    assert encoder.num_shards == NUM_SHARDS - 3


def test_vectors_of_a_killed_service_go_away_when_newer_weights_are_mined(inbox: Inbox) -> None:
    leader, _ = service(inbox, "leader", before=killed_at(3))
    assert in_child(leader.mine_newest) == -signal.SIGKILL
    give_weights(inbox, 5)
    successor, _ = service(inbox, "successor")
    assert successor.mine_newest()
    published(inbox)


def test_a_damaged_shard_of_another_is_encoded_again(inbox: Inbox, alone: tuple[str, bytes]) -> None:
    leader, _ = service(inbox, "leader", before=killed_at(3))
    assert in_child(leader.mine_newest) == -signal.SIGKILL
    shard = sorted(inbox.shards("retrieval", 0).glob("*/*.npy"))[0]
    shard.write_bytes(shard.read_bytes()[:-1])
    successor, encoder = service(inbox, "successor")
    assert successor.mine_newest()
    assert published(inbox) == alone
    assert encoder.num_shards == NUM_SHARDS - 2


def test_a_helper_that_cannot_encode_leaves_its_shard_to_others(
    inbox: Inbox, alone: tuple[str, bytes]
) -> None:
    goes_on = threading.Event()
    thread, encoder = leading(inbox, goes_on)

    def fail(_: int) -> None:
        raise UserError("no such weights")

    helper, _ = service(inbox, "helper", before=fail)
    with pytest.raises(UserError):
        helper.mine_newest()
    goes_on.set()
    thread.join(WAIT)
    assert published(inbox) == alone and encoder.num_shards == NUM_SHARDS
