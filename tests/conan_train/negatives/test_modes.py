"""Mining beside a trainer that does not wait: what it gets, and what goes wrong without it."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conan_data import artifact
from conan_data.errors import UserError
from conan_train.finetune import service as finetune_service
from conan_train.finetune.config import FinetuneConfig
from conan_train.finetune.train import finetune
from conan_train.negatives import follow
from conan_train.negatives.config import MineServiceConfig
from conan_train.negatives.inbox import Inbox, generations_in
from conan_train.negatives.service import Service
from conan_train.negatives.snapshot import newest_snapshot, snapshot_folders
from conan_train.training.loop import Loop
from conan_train.trainlog import NAME, read_events
from tests.conan_train.finetune.test_finetune import config_for, write_model, write_set


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("inputs")
    return write_set(root / "set"), write_model(root / "model")


def served(out: Path, inputs: tuple[Path, Path], **values: object) -> FinetuneConfig:
    return config_for(out, inputs, **{"mine_mode": "service", "mine_look_every": 1, "steps": 18} | values)


@pytest.fixture
def at_step(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[int, Callable[[], None]]]:
    """What is to happen before a step, in the trainer's process."""
    happen: dict[int, Callable[[], None]] = {}
    take = Loop._take

    def taken(self: Loop, step: int, start: float) -> None:
        happen.get(step, lambda: None)()
        take(self, step, start)

    monkeypatch.setattr(Loop, "_take", taken)
    monkeypatch.setattr(follow, "_GLANCE", 0.0)
    yield happen


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.02)


def mine_once(out: Path) -> Service:
    """A service in this process, for the newest weights."""
    until(lambda: newest_snapshot(Inbox(out).weights))
    settings = finetune_service._wait_for(Inbox(out), MineServiceConfig(run=out))
    assert settings is not None
    own = finetune_service._service(settings, Inbox(out), Inbox(out).folder / "services" / "x", "cpu")
    own.mine_newest()
    return own


def refreshes(out: Path) -> list[dict]:
    return [event for event in read_events(out / NAME) if event["event"] == "refresh"]


def generations(out: Path) -> list[str]:
    return [path.name for _, path in generations_in(out / "negatives")]


def test_a_service_is_followed_between_two_steps(
    at_step: dict, inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    at_step[2] = at_step[13] = lambda: (mine_once(out), None)[1]
    at_step[5] = at_step[15] = lambda: time.sleep(0.5)  # a thread reads meanwhile
    finetune(served(out, inputs))
    found = refreshes(out)
    assert [event["generation"].split("-")[1] for event in found] == ["00000000", "00000012"]
    assert [event["mode"] for event in found] == ["service", "service"]
    assert found[0]["step"] in range(3, 7) and found[1]["staleness"] == found[1]["step"] - 12
    assert all(event["documents"] == event["queries"] == 24 and event["seconds"] > 0 for event in found)
    steps = [event for event in read_events(out / NAME) if event["event"] == "step"]
    assert steps[-1]["staleness"] == 17 - 12 and steps[-1]["stall"] < 0.5
    artifact.open_artifact(out, kind="embedder")
    assert len(generations(out)) == 2 and not Inbox(out).folder.exists()
    assert sum(event["replaced"] for event in steps) > 0


def test_nothing_is_waited_for_and_old_negatives_are_warned_of(
    at_step: dict, inputs: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    finetune(served(out, inputs, mine_stale_after=7))
    assert refreshes(out) == [] and generations(out) == []
    warned = [record.message for record in caplog.records if "steps old" in record.message]
    assert [text.split(":")[0] for text in warned] == ["step 7", "step 14"]
    # Killed right after it was published, it would leave its inbox; the same command again clears up.
    Inbox(out).weights.mkdir(parents=True)
    finetune(served(out, inputs, mine_stale_after=7))
    assert not Inbox(out).folder.exists()


def test_weights_and_alpha_are_those_of_the_step(
    at_step: dict, inputs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pools of the service are those that inline mining gives at the same step of the same run."""
    inline = finetune(config_for(tmp_path / "inline", inputs, steps=3))
    out = tmp_path / "out"
    at_step[1] = lambda: (mine_once(out), None)[1]
    at_step[2] = lambda: time.sleep(0.5)
    finetune(served(out, inputs, steps=4))
    first = [name for name in generations(inline) if name.startswith("gen-00000000")]
    assert first and generations(out) == first


@pytest.mark.parametrize("damage", ["manifest", "table", "half", "answer"])
def test_a_generation_that_is_not_whole_or_wrong_is_left(
    damage: str, at_step: dict, inputs: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    out = tmp_path / "out"

    def spoil() -> None:
        mine_once(out)
        ((_, path),) = generations_in(Inbox(out).folder / "negatives")
        if damage == "manifest":
            (path / "manifest.json").write_text("{")
        elif damage == "table":
            (path / "negatives.parquet").write_bytes(b"PAR1" + bytes(100))
        elif damage == "half":
            path.rename(path.with_name(path.name + ".partial"))

    if damage == "answer":
        # The planted bug: no answer is known to the miner.
        monkeypatch.setattr("conan_train.negatives.service.require_no_answers", lambda *a: None)
        from conan_data.mining import pools as pools_module

        select = pools_module.select
        monkeypatch.setattr(
            pools_module,
            "select",
            lambda rows, scores, **named: _blind(select, rows, scores, **named),
        )
    at_step[2] = spoil
    at_step[5] = lambda: time.sleep(0.3)
    finetune(served(out, inputs, steps=8))
    assert refreshes(out) == [] and generations(out) == []
    artifact.open_artifact(out)
    said = [record.message for record in caplog.records if "not used" in record.message]
    assert bool(said) == (damage != "half")
    assert damage != "answer" or "holds an answer" in said[0]


def _blind(select: Callable, rows: object, scores: object, **named: object) -> object:
    """Selection that takes another query's answers for this one's."""
    import dataclasses

    import numpy as np

    arrays = named["arrays"]
    named["arrays"] = dataclasses.replace(
        arrays, positive_rows=np.roll(arrays.positive_rows, 6), groups=np.full_like(arrays.groups, -1)
    )
    return select(rows, scores, **named)


def test_weights_that_are_deleted_or_damaged_are_passed_over(
    at_step: dict, inputs: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"

    def damaged() -> None:
        until(lambda: newest_snapshot(Inbox(out).weights))
        weights = newest_snapshot(Inbox(out).weights).folder / "model.safetensors"
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(bytes(content))
        with pytest.raises(UserError, match="is damaged"):
            mine_once(out)
        weights.unlink()
        with pytest.raises(UserError, match="is gone"):
            mine_once(out)

    at_step[2] = damaged
    at_step[8] = lambda: (mine_once(out), None)[1]
    at_step[10] = lambda: time.sleep(0.3)
    finetune(served(out, inputs))
    assert [event["generation"].split("-")[1] for event in refreshes(out)] == ["00000006"]


def test_a_full_disk_costs_a_warning(
    at_step: dict, inputs: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("conan_train.negatives.snapshot.write_tensors", full)
    out = tmp_path / "out"
    finetune(served(out, inputs, steps=7))
    artifact.open_artifact(out)
    assert sum("no weights for mining: No space left" in record.message for record in caplog.records) == 2


def test_a_generation_that_a_full_disk_keeps_out_is_taken_up_once_there_is_room(
    at_step: dict, inputs: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    out = tmp_path / "out"
    move = follow._move

    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(follow, "_move", full)
    at_step[2] = lambda: (mine_once(out), None)[1]
    for step in range(3, 9):
        at_step[step] = lambda: time.sleep(0.05)
    at_step[9] = lambda: monkeypatch.setattr(follow, "_move", move)
    at_step[10] = at_step[11] = lambda: time.sleep(0.3)
    finetune(served(out, inputs, steps=13))
    (found,) = refreshes(out)
    assert found["step"] >= 10 and generations(out) == [found["generation"]]
    assert sum("No space left" in record.message for record in caplog.records) == 1


def test_what_a_killed_run_had_moved_and_not_yet_used_is_not_lost(
    at_step: dict, inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"

    def moved() -> None:
        mine_once(out)
        ((_, path),) = generations_in(Inbox(out).folder / "negatives")
        follow._move(path, Inbox(out).run / "negatives" / path.name)

    at_step[2] = moved
    at_step[4] = lambda: time.sleep(0.3)
    finetune(served(out, inputs, steps=6))
    assert [event["generation"] for event in refreshes(out)] == generations(out)
    assert len(generations(out)) == 1


def test_only_the_newest_weights_are_kept(at_step: dict, inputs: tuple[Path, Path], tmp_path: Path) -> None:
    seen = []
    out = tmp_path / "out"
    for step in range(30):
        at_step[step] = lambda: (time.sleep(0.02), seen.append(len(snapshot_folders(Inbox(out).weights))))[1]
    finetune(served(out, inputs, steps=30, mine_every=3))
    assert max(seen) <= 3 and seen[-1] >= 2


def test_a_service_begins_anew_where_another_run_takes_the_place_of_its_own(
    inputs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, mined = tmp_path / "out", []
    Inbox(out).open(served(out, inputs))

    def mine_newest(self: Service) -> bool:
        mined.append(self)
        if len(mined) == 1:
            Inbox(out).open(served(out, inputs, mine_every=5))
        return len(mined) == 2

    monkeypatch.setattr(Service, "mine_newest", mine_newest)
    finetune_service.mine_service(MineServiceConfig(run=out, once=True, poll=0.01, wait=0, device="cpu"))
    assert [service.is_current() for service in mined] == [False, True]
    assert Inbox(out).weights.exists()


def test_a_run_that_mines_inline_has_no_service(inputs: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no training that waits for negatives"):
        finetune_service.mine_service(MineServiceConfig(run=tmp_path / "nowhere", wait=0))
