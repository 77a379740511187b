"""What is wrong on the command line is said before anything heavy is imported, which takes seconds."""

import subprocess
import sys

import pytest

from tests.conan_train.path import fuzz

HEAVY = (
    "torch", "transformers", "datasets", "polars", "numba", "numpy", "pyarrow", "sentence_transformers", "datatrove",
    "sklearn", "scipy", "faiss", "matplotlib", "tokenizers",
)  # fmt: skip


@pytest.mark.parametrize("program", fuzz.PROGRAMS)
def test_no_wrong_argument_waits_for_a_heavy_import(program: str) -> None:
    lines = []
    for (of, name), values in fuzz.BASE.items():
        if of == program:
            good = [
                name,
                *(word for field, value in values.items() for word in fuzz.as_flags([field], value)),
            ]
            out = [] if name in ("mine-service", "run") else ["--out", "out"]
            # Of these inputs none is there; mine-service waits for its run, and says so by itself.
            missing = [] if name == "mine-service" else [[*good, *out]]
            lines += [
                [*good, *out, "--nix", "1"],
                [*good, *out, f"--{next(iter(values)).replace('_', '-')}", ""],
                *missing,
            ]
    code = f"""
import sys
from conan_data.command import main
from {program.replace("-", "_")}.cli import COMMANDS
for tokens in {lines!r}:
    assert main({program!r}, "", COMMANDS, tokens) == 2, tokens
    found = sorted(set({HEAVY!r}) & set(sys.modules))
    assert not found, (tokens, found)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("error: ") == len(lines)
