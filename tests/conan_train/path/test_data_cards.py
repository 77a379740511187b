"""The cards in `data_cards` are those that our recipes make today, and an installed package makes the same."""

import io
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conan_train.path.data_cards import CARDS, NAMES, ROOT, make

MINED = "negatives"
"""Scores of a model differ in their last bits between processors, and with them a few counts."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cards")
    make(folder)
    return folder


def numberless(text: str) -> str:
    return re.sub(r"\b[0-9a-f]{12}\b|\d[\d,.]*", "#", text)


@pytest.mark.parametrize("name", NAMES)
def test_the_cards_are_those_of_today(made: Path, name: str) -> None:
    """After a change on purpose, `make cards` writes them again."""
    fresh, kept = made / f"{name}-card", CARDS / name
    plain = numberless if name == MINED else str
    assert plain((fresh / "README.md").read_text()) == plain((kept / "README.md").read_text())
    pictures = sorted(path.name for path in (fresh / "card").iterdir())
    assert pictures == sorted(path.name for path in (kept / "card").iterdir())
    for picture in pictures:
        ours, theirs = (
            np.asarray(
                Image.open(io.BytesIO((folder / "card" / picture).read_bytes())).convert("RGB"), dtype=float
            )
            for folder in (fresh, kept)
        )
        assert ours.shape == theirs.shape
        if name != MINED:
            assert np.abs(ours - theirs).mean() < 1


def test_an_installed_package_makes_the_same_card(made: Path, tmp_path: Path) -> None:
    """From the wheel alone, unpacked beside no checkout."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    tokens = [
        "card",
        str(made / "corpus"),
        "--out",
        str(tmp_path / "card"),
        "--config",
        str(ROOT / "pipelines/cards.yaml"),
    ]
    tokens += ["--stage", "corpus-card", "--root", str(made)]
    code = f"import sys; from conan_data.cli import run; sys.argv[1:] = {tokens!r}; run()"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "card" / "README.md").read_text() == (made / "corpus-card" / "README.md").read_text()
