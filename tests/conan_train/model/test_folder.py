import os
from pathlib import Path

import pytest

from conan_data import artifact
from conan_data.config import StageConfig
from conan_data.errors import UserError
from conan_train.model.folder import model_folder


def publish(out: Path, kind: str) -> Path:
    with artifact.building(StageConfig(out=out), kind=kind, command="test", inputs=[]) as build:
        (build.dir / "model").mkdir()
        (build.dir / "model" / "config.json").write_text("{}")
        return build.publish(rows=artifact.Rows(0, 0))


def test_artifacts_and_folders(tmp_path: Path) -> None:
    for kind in ("language-model", "embedder"):
        assert model_folder(publish(tmp_path / kind, kind)) == tmp_path / kind / "model"
    assert model_folder(str(tmp_path / "embedder" / "model")) == tmp_path / "embedder" / "model"
    with pytest.raises(UserError, match="holds a corpus, not a model"):
        model_folder(publish(tmp_path / "corpus", "corpus"))
    (tmp_path / "embedder" / "model" / "config.json").write_text("{ }")
    with pytest.raises(UserError, match="has changed"):
        model_folder(tmp_path / "embedder")


def test_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert model_folder("intfloat/multilingual-e5-small") == "intfloat/multilingual-e5-small"
    assert model_folder("owner/name@v1.0") == "owner/name@v1.0"
    os.makedirs("runs/empty")
    os.makedirs("runs/begun.partial")
    Path("file").write_text("")
    for name, message in (
        ("runs/absent", "no such directory"),
        ("runs/begun", "begun.partial is unfinished"),
        ("runs/empty", "no config.json"),
        ("file", "is a file"),
        ("bert", "not a name on the Hub"),
        ("/absent/model", "no such directory"),
        ("../x/y", "no such directory"),
    ):
        with pytest.raises(UserError, match=message):
            model_folder(name)
