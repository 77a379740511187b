"""Whose a claim is: its living owner's, and nobody's once that is gone, on this host or on another."""

import errno
import json
import multiprocessing
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from conan_train.negatives.claim import Claims

NAME = "retrieval-00000012"


def takes(claims: Claims) -> bool:
    with claims.taken(NAME) as is_ours:
        return is_ours


def hold(folder: Path) -> None:
    with Claims(folder, beat=0.05).taken(NAME):
        (folder / "held").touch()
        time.sleep(60)


def killed_owner(folder: Path) -> None:
    """Leaves the claim of a process that was killed."""
    process = multiprocessing.get_context("fork").Process(target=hold, args=(folder,))
    process.start()
    while not (folder / "held").exists():
        time.sleep(0.01)
    assert not takes(Claims(folder)), "the owner lives"
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()


def test_a_claim_is_respected_while_it_is_held(tmp_path: Path) -> None:
    mine, theirs = Claims(tmp_path), Claims(tmp_path)
    with mine.taken(NAME) as is_ours:
        assert is_ours and not takes(theirs)
    assert takes(theirs) and not list(tmp_path.iterdir())


def test_the_claim_of_a_killed_process_is_taken_over_at_once(tmp_path: Path) -> None:
    killed_owner(tmp_path)
    assert takes(Claims(tmp_path))
    assert not list(tmp_path.glob("*.lock*"))


@pytest.mark.parametrize("left", ["another host's", "half-written"])
def test_a_claim_that_nobody_keeps_young_is_taken_over_when_it_is_stale(left: str, tmp_path: Path) -> None:
    """A process of that number lives here, too, which says nothing about the other host."""
    words = json.dumps({"host": "elsewhere", "pid": os.getpid()})
    (tmp_path / f"{NAME}.lock").write_text(words if left == "another host's" else words[:9])
    onlooker = Claims(tmp_path, stale=0.2)
    assert not takes(onlooker), "it may be young"
    time.sleep(0.1)
    assert not takes(onlooker)
    time.sleep(0.2)
    assert takes(onlooker) and not list(tmp_path.iterdir())


def test_a_claim_of_another_host_that_shows_signs_of_life_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onlooker = Claims(tmp_path, stale=0.2)
    with Claims(tmp_path, beat=0.02).taken(NAME):
        monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
        for _ in range(4):
            assert not takes(onlooker)
            time.sleep(0.1)


def test_a_claim_that_cannot_be_written_is_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("conan_train.negatives.claim.json.dump", full)
        with pytest.raises(OSError, match="No space left"):
            takes(Claims(tmp_path))
    assert takes(Claims(tmp_path))
