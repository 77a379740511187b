"""Every command is run twice undisturbed, below roots that are named and given in different ways, and killed in the
middle and run again: always the same bytes, and nowhere in them the place where it ran.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.conan_train.path.kills import PLACES, STAGES

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict]]:
    folder = tmp_path_factory.mktemp("kill")
    command = [
        sys.executable,
        "-m",
        "tests.conan_train.path.kills",
        "--folder",
        str(folder),
        "--shares",
        "0.5",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return folder, {outcome["stage"]: outcome for outcome in found if "stage" in outcome}


@pytest.mark.parametrize("stage", STAGES)
def test_the_bytes_are_the_same_twice_and_after_kills(
    stage: str, outcomes: tuple[Path, dict[str, dict]]
) -> None:
    """With manifests and logs: only what a manifest leaves out for its times is not compared."""
    outcome = outcomes[1][stage]
    assert outcome["whole"] == [0, 0] and outcome["again"] == [0], outcome
    assert outcome["kills"] == [-9] and not any(outcome["left"]), "a killed stage left an output"
    assert outcome["twice_equal"] and outcome["equal"] == [True], outcome


def test_no_published_byte_says_where_it_was_made(outcomes: tuple[Path, dict[str, dict]]) -> None:
    folder, _ = outcomes
    num_files = 0
    for place in PLACES:
        for path in sorted((folder / place / "runs").rglob("*")):
            if path.is_file() and "served.mining" not in path.parts and path.parts[-2] != "texts":
                num_files += 1
                for content in contents(path):
                    assert str(folder).encode() not in content, path
                    assert folder.name.encode() not in content, path
    assert num_files > 300


def contents(path: Path) -> Iterator[bytes]:
    """The bytes of a file, and of a compressed table what it says."""
    yield path.read_bytes()
    if path.suffix == ".parquet":
        yield str(pq.read_table(path).to_pylist()).encode()
