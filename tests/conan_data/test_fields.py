"""Limits and types of fields, and the names under which errors speak of them."""

from pathlib import Path

import pytest

from conan_data.cli import COMMANDS as DATA_COMMANDS
from conan_data.command import Command, bind, main
from conan_data.errors import UserError
from conan_data.fields import build
from conan_data.mining.config import SelectionConfig
from conan_train.cli import COMMANDS
from conan_train.finetune.config import FinetuneConfig

FINETUNE = next(command for command in COMMANDS if command.name == "finetune")
GOOD = {"out": "out", "model": "model", "data": ["a"], "steps": 1}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"select": {"pool_size": 0}}, "select.pool_size: must be at least 1, got 0"),
        ({"select": {"depth": 3, "skip": 3}}, "select.depth: must be larger than skip (3), got 3"),
        ({"select": {"pool_sise": 1}}, "select.pool_sise: is no field of this (did you mean 'pool_size'?)"),
        ({"select": 5}, "select: must map fields to values, got 5"),
        ({"select": None}, "select: must map fields to values, got None"),
        ({"select": {"margin_by_language": {"de": 2}}}, "select.margin_by_language.de: must be above 0 and at most 1, got 2.0"),
        ({"select": {"choose": "tpo"}}, "select.choose: must be one of top, uniform, softmax (did you mean 'top'?), got 'tpo'"),
        ({"optim": {"betas": [0.9]}}, "optim.betas: must be a list of 2, got [0.9]"),
        ({"optim": {"warmup_steps": 2}}, "optim.warmup_steps: must be less than the 1 steps of the run, got 2"),
        ({"steps": 1.5}, "steps: must be a whole number, got 1.5"),
        ({"steps": True}, "steps: must be a whole number, got True"),
        ({"steps": "5"}, "steps: must be a whole number, got '5'"),
        ({"steps": None}, "steps: must be a whole number, got None"),
        ({"steps": [5]}, "steps: must be a whole number, got [5]"),
        ({"steps": 10**30}, "steps: must be a whole number of at most 63 bits, got 1000000000000000000000000000000"),
        ({"weight": float("nan")}, "weight: must be a finite number below 2^63, got nan"),
        ({"weight": "1"}, "weight: must be a number, got '1'"),
        ({"split": 5}, "split: must be text, in a recipe between quotes, got 5"),
        ({"split": "a\0"}, "split: must be Unicode text without NUL, got 'a\\x00'"),
        ({"data": 5}, "data: must be a list, got 5"),
        ({"data": []}, "data: name at least one, got []"),
        ({"grad_cache": "yes"}, "grad_cache: must be true or false, got 'yes'"),
        ({"memory": "lots"}, "memory: must be an amount such as 2GB, 500MB or 1.5GiB, got 'lots'"),
        ({"out": ""}, "out: must not be empty, got ''"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_by_its_whole_path(values: dict, message: str) -> None:
    with pytest.raises(UserError) as raised:
        bind(FINETUNE, GOOD | values, source="r.yaml: finetune")
    assert str(raised.value) == f"r.yaml: finetune: {message}".replace("got []", "got ()")


def test_the_same_in_python_and_under_its_own_name() -> None:
    with pytest.raises(UserError, match="^pool_size: must be at least 1, got 0$"):
        SelectionConfig(pool_size=0)
    with pytest.raises(UserError, match="^data: name at least one"):
        FinetuneConfig(out=Path("out"), model="model", data=(), steps=1)
    config = FinetuneConfig(out="out", model="model", data=["a"], steps=1, weight=1)  # type: ignore[arg-type]
    assert config == build(FinetuneConfig, GOOD) and isinstance(config.weight, float)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--select.pool-size 0", "--select.pool-size: must be at least 1, got 0"),
        ("--select.depth 3 --select.skip 3", "--select.depth: must be larger than skip (3), got 3"),
        ("--steps 1.5", "--steps: must be a whole number, got 1.5"),
        ("--select.margin-by-language de=1", "--select.margin-by-language: is a mapping; write --select.margin-by-language.de 1"),
        ("--select.margin-by-language.zh_TW 2", "--select.margin-by-language.zh_TW: must be above 0"),
        ("--seed -1", "--seed: must be at least 0 and below 4294967296, got -1"),
    ],
)  # fmt: skip
def test_flags_are_named_as_they_are_written(
    flags: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["finetune", "--out", "out", "--model", "owner/name", "--data", "sample"]
    steps = [] if "--steps" in flags else ["--steps", "1"]
    assert main("conan-train", "", COMMANDS, [*base, *steps, *flags.split()]) == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")


@pytest.mark.parametrize("pattern", ["(", "a"])
@pytest.mark.parametrize(
    "command",
    [c for c in (*DATA_COMMANDS, *COMMANDS) if "group_regex" in c.config_class().__dataclass_fields__],
    ids=lambda command: command.name,
)
def test_a_wrong_group_regex_is_refused_before_anything_is_read(
    command: Command, pattern: str, capsys: pytest.CaptureFixture[str]
) -> None:
    needed = {"data": "a", "input": "a", "languages": "en", "model": "a", "negatives": "a", "steps": "1"}
    fields = command.config_class().__dataclass_fields__
    tokens = [token for name, value in needed.items() if name in fields for token in (f"--{name}", value)]
    tokens += ["--mix.de", "1"] if command.name == "build-xlr" else []
    assert main("p", "", [command], [command.name, "--out", "o", *tokens, "--group-regex", pattern]) == 2
    assert capsys.readouterr().err.startswith(
        "error: --group-regex: must be a regular expression with a bracketed"
    )


def test_a_mapping_shows_how_it_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    tokens = ["build-xlr", "--data", "sample", "--out", "out", "--mix", "es=1"]
    assert main("conan-data", "", DATA_COMMANDS, tokens) == 2
    assert "write --mix.es 1 as a flag" in capsys.readouterr().err


def test_flags_mean_the_same_where_pydantic_is_loaded() -> None:
    """cyclopts checks values and defaults with pydantic as soon as anything in the process has imported it."""
    import pydantic  # noqa: F401

    from conan_data.flags import flags_of, parse
    from conan_data.mining.config import MineConfig

    tokens = ["--select.pool-size", "x", "--select.margin", "none", "--select.margin-by-language.de", ".5"]
    assert parse("mine", list(flags_of(MineConfig)), tokens) == {
        ("select", "pool_size"): "x",
        ("select", "margin"): None,
        ("select", "margin_by_language"): {"de": 0.5},
    }
