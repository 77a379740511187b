"""Checks of one translation, and the human translations of tldr."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from conan_data.xlr.checks import Checker
from conan_data.xlr.checks.check import COLUMNS
from conan_data.xlr.config import ChecksConfig

TLDR = Path(__file__).parents[4] / ".." / "shared" / "data" / "retrieval" / "tldr"
SOURCE = "Show the free space of all mounted file systems."


def frame_of(rows: list[tuple[str, ...]]) -> pl.DataFrame:
    """`rows` of query_id, text, language, source, source_language."""
    return pl.DataFrame(rows, schema=dict.fromkeys(("query_id", *COLUMNS), pl.String), orient="row")


@pytest.fixture
def frame() -> Callable[..., pl.DataFrame]:
    return frame_of


@pytest.fixture
def check() -> Callable[..., dict]:
    """`check(text, language="de", source=..., source_language="en", **config)`."""

    def run(text, language="de", *, source=SOURCE, source_language="en", **config):
        rows = frame_of([("q", text, language, source, source_language)])
        return Checker(ChecksConfig(**config)).check_each(rows).row(0, named=True)

    return run


@pytest.fixture
def reason_of(check) -> Callable[..., str]:
    return lambda *arguments, **named: check(*arguments, **named)["reason"]


@pytest.fixture(scope="session")
def human() -> pl.DataFrame:
    """All human translations of tldr."""
    if not TLDR.is_dir():
        pytest.skip(f"{TLDR} is not there")
    found = []
    for split in ("train", "dev"):
        with gzip.open(TLDR / f"queries.{split}.jsonl.gz", "rt") as file:
            sources = {row["_id"]: row["text"] for row in map(json.loads, file)}
        with gzip.open(TLDR / f"translations.{split}.jsonl.gz", "rt") as file:
            rows = [json.loads(line) for line in file]
        found += [(row["query_id"], row["text"], row["lang"], sources[row["query_id"]], "en") for row in rows]
    return frame_of(found)
