"""The command line as a user meets it: flags, recipes, one-line errors, exit codes."""

import errno
import resource
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from conan_data import command, recipe
from conan_data.config import Config as PartConfig
from conan_data.config import StageConfig, identity, require
from conan_data.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Optim(PartConfig):
    """Settings of the optimiser."""

    lr: float = 1e-3
    """Learning rate."""


@dataclass(frozen=True, kw_only=True)
class Config(StageConfig):
    input: tuple[str, ...]
    """Inputs."""
    mine_every: int = 0
    """Refresh."""
    mix: dict[str, float] = field(default_factory=dict)
    """Shares."""
    optim: Optim = field(default_factory=Optim)
    """Optimiser."""

    def check(self) -> None:
        require(self.mine_every >= 0, "mine_every", self.mine_every, "must not be negative")


SEEN: list[Config] = []


def stage(config: Config) -> Path:
    SEEN.append(config)
    if config.mine_every == 13:
        raise OSError(errno.ENOSPC, "full", "/disk/file")
    if config.mine_every == 14:
        raise ZeroDivisionError
    return config.out


sys.modules.setdefault("stage_under_test", sys.modules[__name__])
STAGE = command.Command(
    name="stage", config="stage_under_test:Config", run="stage_under_test:stage", help="Does it."
)


@pytest.fixture(autouse=True)
def only_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    SEEN.clear()
    monkeypatch.setattr(command, "command_names", lambda: {"stage"})


def run(*tokens: str) -> int:
    return command.main("program", "Summary.", [STAGE], list(tokens))


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    path = tmp_path / "r.yaml"
    path.write_text(
        "root: runs/a\nstage:\n  out: ${root}/x\n  input: [a, b]\n  mine_every: 5\n  mix: {en: 0.5, no: 1}\n  optim: {lr: 1.0e-2}\n"
    )
    return path


def test_every_field_is_a_flag(tmp_path: Path) -> None:
    assert (
        run(
            "stage",
            "--out",
            str(tmp_path),
            "--input",
            "a",
            "--input",
            "b",
            "--mine-every",
            "500",
            "--optim.lr",
            "2e-5",
            "--mix.de",
            ".5",
        )
        == 0
    )
    assert [
        Config(out=tmp_path, input=("a", "b"), mine_every=500, optim=Optim(lr=2e-5), mix={"de": 0.5})
    ] == SEEN


def test_a_recipe_gives_the_values_and_flags_go_before_it(recipe_file: Path) -> None:
    assert run("stage", "--config", str(recipe_file), "--root", "runs/b", "--mine-every", "7") == 0
    assert [
        Config(
            out=Path("runs/b/x"),
            input=("a", "b"),
            mine_every=7,
            mix={"en": 0.5, "no": 1.0},
            optim=Optim(lr=0.01),
        )
    ] == SEEN


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("mine_every", "mine_evry"),
            "{path}: stage: mine_evry: is no field of this (did you mean 'mine_every'?)",
        ),
        (
            ("mine_every: 5", "mine_every: five"),
            "{path}: stage: mine_every: must be a whole number, got 'five'",
        ),
        (("mine_every: 5", "mine_every: -5"), "mine_every: must not be negative, got -5"),
        (
            ("{lr: 1.0e-2}", "{lrr: 1.0e-2}"),
            "{path}: stage: optim.lrr: is no field of this (did you mean 'lr'?)",
        ),
        (("stage:", "stge:"), "'stge' is not a command (did you mean 'stage'?)"),
        (("${root}", "${rot}"), "the variables are ${here} and ${root}"),
        (("[a, b]", "[a, b"), "not valid YAML"),
        (("  mine_every: 5", "  input: [c]"), "key 'input' stands twice"),
    ],
)
def test_a_wrong_recipe_is_one_line_and_exit_code_2(
    recipe_file: Path, change: tuple[str, str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe_file.write_text(recipe_file.read_text().replace(*change))
    assert run("stage", "--config", str(recipe_file)) == 2
    error = capsys.readouterr().err
    assert (
        message.replace("{path}", str(recipe_file)) in error
        and error.startswith("error: ")
        and error.count("\n") == 1
    )
    assert SEEN == []


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (["stge"], "stge: program has no such command (did you mean 'stage'?)"),
        (["stage", "--out", "x", "--input", "a", "--mine-evry", "3"], "Did you mean --mine-every"),
        (["stage", "--out", "x"], "--input: is missing"),
        (["stage", "--config", "nowhere.yaml"], "nowhere.yaml: no such recipe"),
        (
            ["stage", "--out", "x", "--input", "a", "--mine-every", "13"],
            "/disk/file: No space left on device",
        ),
    ],
)
def test_wrong_flags_are_one_line_and_exit_code_2(
    tokens: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*tokens) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_our_own_fault_is_exit_code_1_with_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("stage", "--out", "x", "--input", "a", "--mine-every", "14") == 1
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_help_names_fields_types_and_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("stage", "--help") == 0
    text = capsys.readouterr().out
    assert (
        "--mine-every INT" in text
        and "Refresh." in text
        and "--optim.lr" in text
        and "default: 0.001" in text
        and "--config" in text
    )


def test_help_shows_each_part_of_a_config_under_what_its_class_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("stage", "--help") == 0
    own, title, part = capsys.readouterr().out.partition("optim: Settings of the optimiser.")
    assert title and "--optim.lr FLOAT" in part and "Learning rate." in part
    assert "--out" in own and "--config" in own and "--optim" not in own.partition("[OPTIONS]")[2]
    assert "--mix.NAME FLOAT" in own


def test_several_stages_of_a_command_are_told_apart_by_name(
    recipe_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe_file.write_text(recipe_file.read_text() + "second: {command: stage, out: y, input: [c]}\n")
    assert run("stage", "--config", str(recipe_file)) == 2
    assert "choose one with --stage" in capsys.readouterr().err
    assert run("stage", "--config", str(recipe_file), "--stage", "second") == 0
    assert SEEN[0].input == ("c",)


def test_where_and_how_it_runs_is_no_part_of_what_it_is() -> None:
    assert identity(Config(out=Path("x"), input=("a",))) == identity(
        Config(out=Path("y"), input=("a",), overwrite=True)
    )


def test_yaml_words_that_look_like_truth_values_stay_words(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("stage: {languages: [en, no, on, y], overwrite: true}\n")
    assert recipe.load(tmp_path / "r.yaml", {"stage"})[0].values == {
        "languages": ["en", "no", "on", "y"],
        "overwrite": True,
    }
    (tmp_path / "r.yaml").write_text("- a\n")
    with pytest.raises(UserError, match="a recipe is a mapping"):
        recipe.load(tmp_path / "r.yaml", {"stage"})


@pytest.mark.parametrize("program", ["conan-data", "conan-train"])
def test_help_answers_at_once_and_imports_nothing_heavy(program: str) -> None:
    module = program.replace("-", "_")
    code = f"import sys\nfrom {module}.cli import COMMANDS\nfrom conan_data.command import main\n"
    code += "for command in COMMANDS:\n    assert main('p', 's', COMMANDS, [command.name, '--help']) == 0\n"
    code += "heavy = {'cyclopts', 'rich', 'yaml', 'torch', 'transformers', 'numpy', 'pyarrow', 'polars', 'datasets', 'datatrove', 'numba', 'ray', 'trafilatura', 'fasttext', 'tokenizers'} & set(sys.modules)\nassert not heavy, heavy"
    start = _seconds_of_children()
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    # Of the processor, and far above what it takes, so that a busy machine does not fail.
    assert _seconds_of_children() - start < 15


def _seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_the_length_warning_of_transformers_does_not_leak(capfd: pytest.CaptureFixture[str]) -> None:
    code = "from conan_data.command import configure_logging; configure_logging()\n"
    code += "import transformers\nfrom tokenizers import Tokenizer, models, pre_tokenizers\n"
    code += "raw = Tokenizer(models.WordLevel({'a': 0}, unk_token='a'))\nraw.pre_tokenizer = pre_tokenizers.Whitespace()\n"
    code += "tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=raw, model_max_length=2, unk_token='a')\n"
    code += "assert len(tokenizer('a a a a')['input_ids']) == 4\n"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert "longer than" not in capfd.readouterr().err


@pytest.mark.parametrize("name", ["a\x1b[31mb", "a\u202eb", "a\nb", "a\0b", "a\udc80b"])
def test_names_in_errors_cannot_act_on_the_terminal(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("stage", "--config", name, "--input", "a") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert error.rstrip("\n").isprintable() and error.isascii()
