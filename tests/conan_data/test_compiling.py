"""The line about compiling, in a process of its own with a cache of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba")
PROGRAM = """
import logging
logging.basicConfig(level=logging.INFO, format="%(message)s")
import conan_data.language.langid_kernel
"""


def said(cache: Path) -> list[str]:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
    )
    return [line for line in ran.stderr.splitlines() if line.startswith("compiling")]


def test_compiling_is_said_once_and_not_where_it_is_cached(tmp_path: Path) -> None:
    assert said(tmp_path) == ["compiling array kernels (up to half a minute, once per machine and version)"]
    assert said(tmp_path) == []
