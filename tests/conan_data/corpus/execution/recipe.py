"""`conan-data build-corpus` as a user runs it, on a small corpus of several files."""

import json
import random
import subprocess
import sys
from pathlib import Path

WORDS = "the cat and dog were walking through an old garden while children played near their house with many small toys every day"
PROGRAM = "from conan_data.cli import run; run()"


def write_input(folder: Path) -> Path:
    """Three files with near duplicates, a broken line and short rows in them."""
    folder.mkdir(exist_ok=True)
    rng = random.Random(0)
    for file in range(3):
        lines, last = [], ""
        for row in range(700):
            text = " ".join(" ".join(rng.choices(WORDS.split(), k=16)).capitalize() + "." for _ in range(6))
            text = "short" if row % 17 == 0 else last + " More." if row % 10 == 9 else text
            last = text
            lines.append(json.dumps({"id": f"{file}-{row}", "text": text, "metadata": {"lang": "en"}}))
        lines[5] = lines[5][:-4]
        (folder / f"{file}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def run_recipe(out: Path, *flags: str, timeout: float = 400) -> "subprocess.CompletedProcess[str]":
    """The command, with the input beside `out`."""
    source = write_input(out.parent / "input")
    command = ["build-corpus", "--input", str(source), "--out", str(out), "--languages", "en", *flags]
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *command],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def contents(directory: Path) -> dict[str, bytes]:
    found = {
        str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }
    assert "manifest.json" in found
    return found
