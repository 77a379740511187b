"""A service whose disk is full, whose weights go away under its hands, and two of them at once."""

import errno
import multiprocessing
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from conan_data.errors import UnfinishedError, UserError
from conan_data.mining.config import SelectionConfig
from conan_data.mining.embeddings import Embeddings
from conan_data.mining.hash_encoder import HashEncoder
from conan_data.pairs.pair_set import PairSet, read_retrieval_sets
from conan_train.negatives import snapshot as snapshots
from conan_train.negatives.claim import Claims
from conan_train.negatives.depth.index import CarriedIndex
from conan_train.negatives.inbox import Inbox, generations_in
from conan_train.negatives.miner import FullMiner
from conan_train.negatives.service import Service
from conan_train.negatives.snapshot import SnapshotWriter, load_snapshot, newest_snapshot
from tests.conan_train.finetune.test_finetune import write_set

NO_ROOM = OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> PairSet:
    return read_retrieval_sets((str(write_set(tmp_path_factory.mktemp("data") / "set")),), "train")


def open_inbox(out: Path) -> Inbox:
    """Of a run that has given the weights of its start."""
    inbox = Inbox(out)
    inbox.weights.mkdir(parents=True)
    inbox.claims.mkdir()
    writer = SnapshotWriter(torch.nn.Linear(2, 3), inbox.weights, rank=0, world_size=1)
    writer.write(0)
    writer.close()
    return inbox


def service(inbox: Inbox, pairs: PairSet, name: str = "a") -> Service:
    def miner_of(_: object) -> FullMiner:
        return FullMiner(
            pairs=pairs,
            selection=SelectionConfig(pool_size=8, depth=12, margin=1.0),
            memory=1 << 20,
            device="cpu",
            folder=inbox.folder / "services" / name,
        )

    return Service(
        inbox=inbox,
        sets=[SimpleNamespace(name="retrieval", pairs=pairs, store="negatives", num_negatives=3)],
        encoder_of=lambda _: HashEncoder(),
        miner_of=miner_of,
        window_of=lambda *_: np.arange(pairs.num_queries),
        claims=Claims(inbox.claims),
        is_current=lambda: True,
    )


def published(inbox: Inbox) -> list[str]:
    return [path.name for _, path in generations_in(inbox.generations("negatives"))]


@pytest.fixture(scope="module")
def expected(pairs: PairSet, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What an undisturbed service publishes."""
    inbox = open_inbox(tmp_path_factory.mktemp("undisturbed") / "out")
    assert service(inbox, pairs).mine_newest()
    assert len(published(inbox)) == 1
    return published(inbox)


def failing_at(call: int, patch: pytest.MonkeyPatch) -> None:
    """The `call`-th time that anything is written or renamed, the disk is full."""
    count = 0

    def failing(work: Callable[..., Any]) -> Callable[..., Any]:
        def write(*args: Any, **named: Any) -> Any:
            nonlocal count
            count += 1
            if count == call:
                raise NO_ROOM
            return work(*args, **named)

        return write

    for owner, name in (
        (os, "fsync"),
        (os, "replace"),
        (os, "rename"),
        (np, "save"),
        (Path, "write_text"),
        (pq.ParquetWriter, "write_table"),
    ):
        patch.setattr(owner, name, failing(getattr(owner, name)))


def test_wherever_a_disk_is_full_nothing_half_written_is_seen_and_the_next_try_is_whole(
    pairs: PairSet, expected: list[str], tmp_path: Path
) -> None:
    for call in range(1, 60):
        inbox = open_inbox(tmp_path / f"out-{call}")
        own = service(inbox, pairs)
        with pytest.MonkeyPatch.context() as patch:
            failing_at(call, patch)
            try:
                own.mine_newest()
            except (OSError, UnfinishedError):
                assert published(inbox) in ([], expected)
                assert not list(inbox.folder.rglob("*.partial")) and not list(inbox.claims.iterdir())
            else:
                break
        own.mine_newest()
        assert published(inbox) == expected
    assert 8 < call < 59
    assert published(inbox) == expected


def test_a_service_says_what_is_in_the_way_and_carries_on(
    pairs: PairSet, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    inbox = open_inbox(tmp_path / "out")
    pauses: list[float] = []
    writes = pq.ParquetWriter.write_table

    def passes(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 8:
            monkeypatch.setattr(pq.ParquetWriter, "write_table", writes)

    def full(*_: object, **__: object) -> None:
        raise NO_ROOM

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    monkeypatch.setattr("conan_train.negatives.service.time.sleep", passes)
    service(inbox, pairs).run(once=True, poll=1.0)
    assert published(inbox) == expected
    # A corpus is not encoded every second for a disk that stays full.
    assert pauses == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    said = [record.message for record in caplog.records if "No space left on device" in record.message]
    assert len(said) == 8


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Of 256 KB, where one may be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def fill(disk: Path, *, but: int) -> None:
    """Leaves `but` bytes."""
    (disk / "ballast").unlink(missing_ok=True)
    room = os.statvfs(disk)
    (disk / "ballast").write_bytes(bytes(room.f_bavail * room.f_frsize - but))


def test_a_disk_that_is_really_full(small_disk: Path, pairs: PairSet, expected: list[str]) -> None:
    inbox = open_inbox(small_disk / "out")
    own = service(inbox, pairs)
    failures = 0
    for pages in range(0, 64):
        fill(small_disk, but=4096 * pages)
        try:
            own.mine_newest()
            break
        except (OSError, UserError):
            failures += 1
            assert published(inbox) == [] and not list(inbox.folder.rglob("*.partial"))
    assert failures > 3 and published(inbox) == expected


def _carry(path: Path) -> None:
    base = Embeddings.from_array(np.eye(64, dtype=np.float32).repeat(20, axis=0))
    try:
        CarriedIndex(path, base, lambda block: block)  # type: ignore[arg-type]
    except OSError as error:
        os._exit(error.errno or 1)
    os._exit(0)


@pytest.mark.parametrize(("room", "code"), [(80_000, errno.ENOSPC), (200_000, 0)])
def test_an_index_that_does_not_fit_on_the_disk_is_refused_and_ends_no_process(
    room: int, code: int, small_disk: Path
) -> None:
    """A page of a mapped file for which there is no room costs a process its life (SIGBUS)."""
    fill(small_disk, but=room)
    process = multiprocessing.get_context("fork").Process(target=_carry, args=(small_disk / "carried",))
    process.start()
    process.join()
    assert process.exitcode == code


def test_two_services_share_a_run_by_their_claims(
    pairs: PairSet, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one mines, the other does not; and where it wrongly thinks the first one dead, nothing is spoilt."""
    inbox = open_inbox(tmp_path / "out")
    first, second = service(inbox, pairs), service(inbox, pairs, "b")
    mine, found = FullMiner.mine, []

    def while_mining(self: FullMiner, *args: Any, **named: Any) -> Any:
        if not found:
            found.append(second.mine_newest())
            assert published(inbox) == []
            monkeypatch.setattr("conan_train.negatives.claim._is_alive", lambda pid: False)
            found.append(second.mine_newest())
            assert published(inbox) == expected
        return mine(self, *args, **named)

    monkeypatch.setattr(FullMiner, "mine", while_mining)
    first.mine_newest()
    assert found == [False, True] and published(inbox) == expected
    assert not list(inbox.claims.iterdir())


@pytest.mark.parametrize("moment", ["hash_file", "Parts", "load_weights"])
def test_weights_that_go_away_while_they_are_read(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mapped file stays until it is closed; before that, another snapshot has to be taken."""
    inbox = open_inbox(tmp_path / "out")
    found = newest_snapshot(inbox.weights)
    assert found is not None
    model = torch.nn.Linear(2, 3)
    torch.nn.init.constant_(model.weight, 7.0)
    work = getattr(snapshots, moment)

    def gone(*args: Any, **named: Any) -> Any:
        shutil.rmtree(found.folder)
        return work(*args, **named)

    monkeypatch.setattr(snapshots, moment, gone)
    if moment == "load_weights":
        load_snapshot(found, model)
        assert not (model.weight == 7.0).any()
    else:
        with pytest.raises(UserError, match="cannot be read, or is gone"):
            load_snapshot(found, model)
    assert newest_snapshot(inbox.weights) is None
