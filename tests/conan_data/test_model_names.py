"""A model that is not there is refused at once, on every way to name one."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from conan_data import hub
from conan_data.cli import COMMANDS as DATA
from conan_data.command import main
from conan_data.errors import UserError
from conan_data.judging.config import JudgeConfig
from conan_data.judging.judge import judge_inputs
from conan_data.mining.encoder import load_encoder
from conan_data.models.locate import model_input
from conan_train.cli import COMMANDS as TRAIN
from tests.conan_data.hub_server import HubServer


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with HubServer() as started:
        monkeypatch.setattr(hub, "HUB", hub.Hub(endpoint=started.endpoint, cache_dir=tmp_path / "cache"))
        yield started
    hub._download.cache_clear()


@pytest.fixture
def waits(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that something waits before it tries again, where the Hub cannot be reached."""
    server.stop()
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.endpoint)
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    return waits


@pytest.mark.parametrize("name", ["runs/x/model", "./model", "x/y/z", "/no/where", "here/model", "runs/*"])
@pytest.mark.parametrize(
    ("program", "command"),
    [
        ("conan-data", ["mine", "--data", "sample", "--split", "train"]),
        ("conan-train", ["evaluate", "--data", "sample"]),
        ("conan-train", ["encode", "--data", "sample"]),
        ("conan-train", ["finetune", "--data", "sample", "--steps", "1"]),
        ("conan-train", ["export"]),
    ],
)
def test_what_looks_like_a_path_is_refused_with_its_flag(
    program: str,
    command: list[str],
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The flag is named by the check of the config alone, before anything heavy is imported."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    commands = DATA if program == "conan-data" else TRAIN
    assert main(program, "", commands, [*command, "--model", name, "--out", "out"]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith(f"error: --model: {name}: no such directory") and len(shown.splitlines()) == 1


def test_without_a_network_no_name_is_asked_for_twice(waits: list[float]) -> None:
    cross_encoder = JudgeConfig(kind="cross-encoder", model="nobody/none")
    for ask in (
        lambda: model_input("nobody/none"),
        lambda: load_encoder("nobody/none", device="cpu"),
        lambda: judge_inputs(cross_encoder),
    ):
        with pytest.raises(
            UserError, match="nobody/none: no such directory here, and the Hub cannot be reached"
        ):
            ask()
    assert sum(waits) < 1
