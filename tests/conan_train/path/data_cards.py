"""Write the cards of `data_cards` again: build what they are of, and copy the cards of `pipelines/cards.yaml`."""

import shutil
import tempfile
from pathlib import Path

from conan_data.command import main
from conan_train.cli import COMMANDS

ROOT = Path(__file__).parents[3]
CARDS = ROOT / "data_cards" / "demo"
NAMES = ("corpus", "xlr-train", "negatives", "pairs")


def make(folder: Path) -> None:
    """Write the card of NAME to `NAME-card` below `folder`, beside what it is of."""
    stages = ["build-corpus", "xlr-train", "tokenizer", "init", "mine"]
    for recipe, *tokens in (["demo.yaml", "--only", *stages], ["cards.yaml"]):
        given = ["run", str(ROOT / "pipelines" / recipe), "--root", str(folder), *tokens]
        assert main("conan-train", "", COMMANDS, given) == 0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        make(Path(scratch))
        for name in NAMES:
            shutil.rmtree(CARDS / name, ignore_errors=True)
            shutil.copytree(
                Path(scratch) / f"{name}-card", CARDS / name, ignore=shutil.ignore_patterns("manifest.json")
            )
