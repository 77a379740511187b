"""State of a training that a later run trusts, cut at every length and edited: passed over, remade, or refused in one
line.
"""

import json
import os
import socket
from pathlib import Path

import pytest
import torch

from conan_data import sealed
from conan_data.checkpoint_files import META, latest_checkpoint
from conan_data.errors import UserError
from conan_data.manifest import TIMES
from conan_train.checkpoint.state import save_checkpoint
from conan_train.negatives.claim import Claims
from conan_train.negatives.inbox import RUN, Inbox
from conan_train.negatives.snapshot import STATE, SnapshotWriter, load_snapshot, newest_snapshot
from conan_train.trainlog import NAME, TrainLog, read_events, read_log
from tests.conan_data.test_state_files import damage_each, damages
from tests.conan_train.finetune.test_finetune import config_for

WRONG = ("null", "5", "[]", '"x"', "{}", '{"parts": "x"}', '{"files": 3, "format": 2, "step": 1}')


def test_a_checkpoint_whose_list_was_cut_or_edited_is_passed_over(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    for step in (1, 2):
        save_checkpoint(tmp_path, step=step, model=model, optimizer=optimizer)
    meta = tmp_path / "step-00000002" / META
    whole = meta.read_bytes()
    edited = whole.replace(b'"step": 2', b'"step": 9')
    assert edited != whole
    for damaged in (*damages(whole, every=True), edited, *(text.encode() for text in WRONG)):
        meta.write_bytes(damaged)
        newest = latest_checkpoint(tmp_path)
        assert newest is not None and newest.name == "step-00000001"
    meta.write_bytes(whole)
    assert latest_checkpoint(tmp_path) == meta.parent


def test_weights_for_mining_are_passed_over_where_they_are_damaged(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 2)
    writer = SnapshotWriter(model, tmp_path, rank=0, world_size=1)
    writer.write(3)
    writer.close()

    def look() -> None:
        found = newest_snapshot(tmp_path)
        if found is not None:
            with pytest.raises(UserError, match=r"damaged|cannot be read"):
                load_snapshot(found, torch.nn.Linear(2, 2))

    assert damage_each(tmp_path, look) > 8
    for text in WRONG:
        (tmp_path / "step-00000003" / STATE).write_text(text)
        assert newest_snapshot(tmp_path) is None


def test_a_config_that_was_cut_is_no_config(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "out")
    config = config_for(tmp_path / "out", (tmp_path / "model", tmp_path / "set"))
    inbox.open(config)
    whole = (inbox.folder / RUN).read_bytes()
    expected = inbox.settings()
    for damaged in (*damages(whole, every=True), *(text.encode() for text in WRONG)):
        (inbox.folder / RUN).write_bytes(damaged)
        assert inbox.settings() is None
    inbox.open(config)
    assert inbox.settings() == expected


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"null", b"[]", b"5", b"{}", b'{"host": 5, "pid": 1}', b'{"host": "HOST", "pid": "x"}', b'{"host": "HOST", "pid": -1}', b'{"host": "HOST", "pid": 1e99}', b'{"host": "HOST"}', b"\xff\xfe"],
)  # fmt: skip
def test_a_claim_that_was_cut_or_edited_gets_old(content: bytes, tmp_path: Path) -> None:
    claims = Claims(tmp_path, stale=0.0)
    (tmp_path / "x.lock").write_bytes(content.replace(b"HOST", socket.gethostname().encode()))
    with claims.taken("x") as is_ours:
        assert not is_ours, "it is looked at twice"
    with claims.taken("x") as is_ours:
        assert is_ours
    (tmp_path / "x.lock").write_text(json.dumps({"host": socket.gethostname(), "pid": os.getpid()}))
    with claims.taken("x") as is_ours:
        assert not is_ours


def test_a_log_goes_on_where_its_checkpoint_was_and_notices_an_edit(tmp_path: Path) -> None:
    log = TrainLog(tmp_path / NAME)
    for step in (1, 2):
        log.append(
            {"event": "step", "step": step, "loss": 0.1234567, "queries_per_second": 3.0, "by": {"a": 2.0}}
        )
    mark = json.loads(json.dumps(log.mark()))
    expected = read_events(log.path)
    assert expected[0] == {
        "event": "step",
        "step": 1,
        "loss": 0.123457,
        "by": {"a": 2.0},
        "queries_per_second": 3.0,
    }
    assert "queries_per_second" not in log.path.read_text()
    log.append({"event": "refresh", "step": 2, "seconds": 1.0, "changed": 0.5})
    with open(log.path, "a") as file:
        file.write('{"torn')
    with pytest.raises(UserError, match="line 4 is not JSON"):
        read_log(log.path)
    log.cut(mark)
    assert read_events(log.path) == expected
    whole = log.path.read_bytes()
    for damaged in damages(whole, every=True):
        log.path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"train_log.jsonl: was cut or edited since the last checkpoint"):
            log.cut(mark)
    log.path.write_bytes(whole)
    log.times.unlink()
    log.cut(mark)
    assert log.path.read_bytes() == whole
    log.cut(None)
    assert not log.path.exists() and not (tmp_path / TIMES).exists() and read_log(log.path) == []


def test_examples_are_encoded_again_where_they_are_damaged(tmp_path: Path) -> None:
    from conan_train.sft.config import SftConfig
    from conan_train.sft.train import write_examples
    from tests.conan_train.training.golden import write_inputs

    write_inputs(tmp_path)
    config = SftConfig(
        out=tmp_path / "out", model=str(tmp_path / "chat"), data=(str(tmp_path / "answers.jsonl"),),
        steps=1, batch_tokens=256, micro_batch_tokens=128, sequence_length=64,
    )  # fmt: skip
    folder = tmp_path / "state" / "examples"
    write_examples(config, tmp_path / "chat", folder)
    expected = {path.name: path.read_bytes() for path in folder.iterdir()}

    def remake() -> None:
        write_examples(config, tmp_path / "chat", folder)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == expected

    assert damage_each(folder.parent, remake) > 20
    assert sealed.read_mark(folder / "examples.json") is not None
