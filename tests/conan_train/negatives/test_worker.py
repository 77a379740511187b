"""The worker beside a trainer: it is started again when it dies, and does not outlive its trainer."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from conan_data import artifact
from conan_train.finetune.service import _end_with
from conan_train.finetune.train import finetune
from conan_train.negatives import follow, worker
from conan_train.negatives.inbox import Inbox, generations_in
from conan_train.negatives.worker import Worker
from conan_train.training.loop import Loop
from conan_train.trainlog import NAME, read_log
from tests.conan_train.finetune.test_finetune import config_for, write_model, write_set
from tests.conan_train.negatives.test_modes import until

SLEEP = "import time; time.sleep(60)"


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_one_that_is_killed_is_started_again_ever_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker, "_PROGRAM", SLEEP)
    monkeypatch.setenv("RANK", "0")
    own = Worker(out=tmp_path / "out", device="cpu", threads=1, messages=tmp_path / "log", _pause=0.1)
    own.start()
    pids = []
    try:
        for _ in range(2):
            assert own.process is not None
            pids.append(own.process.pid)
            assert b"\0RANK=" not in b"\0" + Path(f"/proc/{own.process.pid}/environ").read_bytes()
            own.process.kill()
            own.process.wait()
            own.keep_alive()
            assert own.process.pid == pids[-1], "not at once"
            time.sleep(own._pause)
            own.keep_alive()
            assert own.process.poll() is None
        pids.append(own.process.pid)
    finally:
        own.stop()
    assert len(set(pids)) == 3 and own._pause == pytest.approx(0.4)
    assert [record.message.split(" and")[0] for record in caplog.records] == [
        "the mining worker ended with code -9"
    ] * 2
    assert not is_alive(pids[-1])


def _train(folder: Path) -> None:
    trainer, worker = os.getpid(), os.fork()
    if not worker:
        _end_with(trainer)
    (folder / "pid.tmp").write_text(str(worker))
    (folder / "pid.tmp").rename(folder / "pid")
    time.sleep(60)


def test_one_whose_trainer_is_killed_ends(tmp_path: Path) -> None:
    trainer = multiprocessing.get_context("fork").Process(target=_train, args=(tmp_path,))
    trainer.start()
    until((tmp_path / "pid").exists)
    pid = int((tmp_path / "pid").read_text())
    assert is_alive(pid)
    trainer.kill()
    trainer.join()
    until(lambda: not is_alive(pid))


@pytest.mark.slow
def test_a_run_goes_on_when_its_worker_is_killed_and_gets_negatives_from_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    out, pids = tmp_path / "out", []
    make = Worker.start
    monkeypatch.setattr(
        Worker, "start", lambda self: (make(self), pids.append(self.process.pid))[0]  # type: ignore[union-attr]
    )  # fmt: skip
    monkeypatch.setattr(follow, "_GLANCE", 0.0)
    take = Loop._take

    def taken(self: Loop, step: int, start: float) -> None:
        if step == 3:
            until(lambda: (Inbox(out).folder / "services").exists(), 300)
            os.kill(pids[0], signal.SIGKILL)
        if step in (4, 5, 6):  # dead; waits; is started again
            time.sleep(1.1)
        if step == 8:
            until(lambda: generations_in(Inbox(out).generations("negatives")), 300)
        if step == 10:
            time.sleep(0.5)
        take(self, step, start)

    monkeypatch.setattr(Loop, "_take", taken)
    inputs = write_set(tmp_path / "set"), write_model(tmp_path / "model")
    finetune(config_for(out, inputs, mine_mode="process", mine_look_every=1, steps=14, threads=1))
    artifact.open_artifact(out, kind="embedder")
    steps = [event["step"] for event in read_log(out / NAME) if event["event"] == "step"]
    refreshes = [event for event in read_log(out / NAME) if event["event"] == "refresh"]
    assert steps == [4, 8, 12, 14]
    assert len(pids) == 2 and "ended with code -9" in caplog.text
    assert refreshes and all(event["mode"] == "process" for event in refreshes)
    assert not Inbox(out).folder.exists() and not any(is_alive(pid) for pid in pids)
