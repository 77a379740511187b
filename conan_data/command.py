"""The command line that both programs share: a typed config becomes flags, a recipe gives their defaults, and
errors become exit codes.

Nothing heavy is imported before a command really runs, so that `--help` answers at once; a command names its
config and its stage function as `module:object`. Exit codes: 0 done, 2 the input is wrong (one line on
stderr), 1 our fault (a traceback).
"""

import importlib
import logging
import os
import shlex
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conan_data import interruption, recipe
from conan_data.config import Config, StageConfig
from conan_data.errors import OccupiedError, SaidElsewhereError, UserError
from conan_data.fields import FieldError, build, nearest
from conan_data.flags import FieldPath, Flag, as_written, flags_of, parse
from conan_data.help import command_help, program_help
from conan_data.inputs import OptionalFolder, check_inputs, missing_inputs
from conan_data.launch import has_met, launched
from conan_data.places import MANIFEST, check
from conan_data.redact import redact
from conan_data.shortage import shortage
from conan_data.visible import VisibleFormatter, visible

log = logging.getLogger(__name__)
HELP = ("--help", "-h")
SECONDS_FOR_THE_LAUNCHER = 5.0


@dataclass(frozen=True, kw_only=True)
class RecipeFlags(Config):
    """Flags of every command that makes an artifact, beside those of its config."""

    config: Path | None = None
    """Recipe (YAML) that gives the values; flags go before it."""
    stage: str | None = None
    """Name of the stage in the recipe, where it has several for this command."""
    root: OptionalFolder = None
    """Folder that ${root} stands for in the recipe."""


@dataclass(frozen=True)
class Command:
    """A stage on the command line; `config` and `run` are `module:object`."""

    name: str
    config: str
    run: str
    help: str
    positional: tuple[str, ...] = ()
    """Flags that the words before the first flag belong to, one each and the rest to the last: `compare A B` is
    `compare --evaluations A B`, `push A B` is `push --artifact A --repository B`.
    """
    runs_on_many: bool = False
    """Whether several processes that a launcher starts do the work together."""
    result: str = "conan_data.results:Result"
    """Class (`module:object`) of what its Python function returns: of a stage that makes an artifact, the one that
    opens it.
    """
    python: str = ""
    """Name of its Python function, where that is not its own name."""

    @property
    def function_name(self) -> str:
        """The name of its Python function (`build_corpus`)."""
        return self.python or self.name.replace("-", "_")

    def config_class(self) -> type:
        """The dataclass whose fields are the flags."""
        return _load(self.config)

    def __call__(self, config: Any) -> Any:
        """Run the stage, unless it is done and inputs of it are gone."""
        self.check_processes()
        if self.is_done_without_inputs(config):
            log.info("%s: done already (%s); its inputs are gone", config.out, self.name)
            return None
        return _load(self.run)(config)

    def call(self, config: Any, values: Mapping[str, Any], *, name: str) -> Any:
        """Run the stage from Python, by a config or by the values of one, and return what it made.

        Raises `UserError` that begins with `name` for what is no such config.
        """
        kind = self.config_class()
        if config is None:
            config = bind(self, values, source=name)
        elif values or not isinstance(config, kind):
            raise UserError(f"{name}: takes one {kind.__name__}, or the fields of one as keywords")
        try:
            self.check(config)
        except FieldError as error:
            raise UserError(f"{name}: {error}") from error
        made = self(config)
        return self.opened(config.out) if isinstance(config, StageConfig) else made

    def check(self, config: Any) -> None:
        """Raise `FieldError` for an `out` that cannot be written, and for an input that is not there."""
        check(config)
        if not self.is_done_without_inputs(config):
            check_inputs(config)

    def opened(self, out: Path) -> Any:
        """Return what is at `out`, which this command made, as its Python function does."""
        return _load(self.result).open(out)

    def words(self, made: Any) -> str:
        """Return what the program prints of what the stage has returned: tables, and where it is."""
        is_artifact = isinstance(made, Path) and (made / MANIFEST).is_file()
        return "\n".join(filter(None, (self.opened(made).text if is_artifact else "", str(made))))

    def is_done_without_inputs(self, config: Any) -> bool:
        """Return whether the artifact of this config is there, although inputs that it names are not."""
        if not isinstance(config, StageConfig) or not (config.out / MANIFEST).is_file():
            return False
        if not missing_inputs(config):
            return False
        # Loaded by name: artifacts import Arrow, which no command needs before it runs.
        return _load("conan_data.artifact:is_done_without_inputs")(config, command=self.name)

    def check_processes(self) -> None:
        """Raises `UserError` where a launcher started several processes for a stage that runs as one."""
        if not self.runs_on_many and (num_processes := launched()[1]) > 1:
            raise UserError(
                f"{self.name} runs as one process, and was started as {num_processes}; start it without torchrun or "
                "accelerate launch"
            )


def bind(command: Command, values: Mapping[str, Any], *, source: str) -> Any:
    """Return the command's config from the values of a recipe. Raises `UserError` naming `source` and the field."""
    try:
        return build(command.config_class(), values)
    except FieldError as error:
        raise UserError(f"{source}: {error}") from error


def values_of(command: Command, stage: recipe.Stage) -> dict[str, Any]:
    """Return the values of a stage with its `out`, where the command has one."""
    has_out = issubclass(command.config_class(), StageConfig)
    return {**({"out": stage.default_out} if has_out else {}), **stage.values}


def main(program: str, summary: str, commands: Sequence[Command], tokens: Sequence[str] | None = None) -> int:
    """Runs the program on `tokens` (default: those of the process); returns its exit code."""
    by_name = {command.name: command for command in commands}
    tokens = list(sys.argv[1:] if tokens is None else tokens)
    configure_logging()
    with interruption.handled():
        return _main(program, summary, commands, by_name, tokens)


def _main(
    program: str, summary: str, commands: Sequence[Command], by_name: Mapping[str, Command], tokens: list[str]
) -> int:
    try:
        if tokens and tokens[0] in by_name:
            return _run(program, by_name[tokens[0]], tokens[1:])
        if tokens and tokens[0] == "--version":
            print(_version())
        elif not tokens or tokens[0] in HELP:
            print(program_help(program, summary, {command.name: command.help for command in commands}))
        else:
            near = nearest(tokens[0], by_name) or f"; it has {', '.join(by_name)}"
            raise UserError(f"{tokens[0]}: {program} has no such command{near}")
        return 0
    except SaidElsewhereError as error:
        return error.code
    except OccupiedError as error:
        return _refuse(
            f"{error}: {shlex.join([program, *tokens, error.remedy])}" if tokens[0] != "run" else str(error)
        )
    except UserError as error:
        return _refuse(str(error))
    except interruption.Interrupted as error:
        return _refuse(str(error), code=error.code)
    except KeyboardInterrupt:
        return _refuse("interrupted; run the same command again to go on", code=130)
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 (the outermost frame; a panic of a library in Rust is no Exception)
        if lack := shortage(error):
            return _refuse(lack)
        traceback.print_exc()
        return 1


def configure_logging() -> None:
    """Our own messages as plain lines on stderr; of the libraries only warnings, and their bars on a terminal
    only.
    """
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    handler = logging.StreamHandler()
    handler.setFormatter(_Redacting("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    for package in ("conan_data", "conan_train"):
        # Of several processes one says what goes on.
        logging.getLogger(package).setLevel(logging.INFO if launched()[0] == 0 else logging.WARNING)
    logging.getLogger("transformers.tokenization_utils_base").addFilter(_is_no_length_warning)


def _is_no_length_warning(record: logging.LogRecord) -> bool:
    """Return False for the warning of transformers that a text is longer than the model reads: we cut it."""
    return not str(record.msg).startswith("Token indices sequence length is longer")


class _Redacting(VisibleFormatter):
    """Formats records without the secrets that addresses hold."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def _run(program: str, command: Command, tokens: list[str]) -> int:
    kind = command.config_class()
    flags = [*flags_of(kind), *(flags_of(RecipeFlags) if issubclass(kind, StageConfig) else ())]
    if any(token in HELP for token in tokens):
        print(command_help(f"{program} {command.name}", command.help, flags))
        return 0
    command.check_processes()
    tokens = _with_names(command.positional, tokens)
    result = command(_config(command, flags, parse(command.name, flags, tokens)))
    if result is not None and launched()[0] == 0:
        print(visible(command.words(result)), flush=True)
    return 0


def _with_names(names: Sequence[str], tokens: list[str]) -> list[str]:
    """Return `tokens` with the flags of `names` before the words that begin them."""
    if not names or not tokens or tokens[0].startswith("-"):
        return tokens
    own = 1 if names[1:] else len(tokens)
    return [f"--{names[0]}", *tokens[:own], *_with_names(names[1:], tokens[own:])]


def _config(command: Command, flags: Sequence[Flag], given: dict[FieldPath, Any]) -> Any:
    """Return the config of what the flags set, and of what the recipe says besides."""
    values, source = {}, ""
    try:
        own = ("config", "stage", "root") if issubclass(command.config_class(), StageConfig) else ()
        named = {field: given.pop((field,)) for field in own if (field,) in given}
        where = build(RecipeFlags, named)
        if where.config is not None:
            stages = recipe.load(where.config, command_names(), root=where.root)
            stage = recipe.pick(stages, command.name, path=where.config, name=where.stage)
            values, source = values_of(command, stage), f"{where.config}: {stage.name}: "
        config: Any = build(command.config_class(), _over(values, given))
        command.check(config)
        return config
    except FieldError as error:
        is_flag = not source or any(error.path[: len(path)] == path for path in given)
        raise UserError(
            f"{as_written(error.path, flags)}: {error.rule}" if is_flag else f"{source}{error}"
        ) from error


def _over(values: Mapping[str, Any], given: Mapping[FieldPath, Any]) -> dict[str, Any]:
    """Return the values of a recipe with those of the flags in their place."""
    merged = dict(values)
    for (first, *rest), value in given.items():
        if not rest:
            merged[first] = value
        elif isinstance(inner := merged.get(first, {}), Mapping):
            merged[first] = _over(inner, {tuple(rest): value})
    return merged


def command_names() -> frozenset[str]:
    """Names of the commands of every installed program: a recipe may hold stages of all."""
    from importlib.metadata import entry_points

    return frozenset(
        command.name for entry in entry_points(group="conan_data.commands") for command in entry.load()
    )


def _load(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("conan-embed")
    except PackageNotFoundError:
        return "not installed"


def _refuse(message: str, *, code: int = 2) -> int:
    # Before the processes of a launcher have met, they find the same wrong, and rank 0 says it: its end makes the
    # launcher stop the others. Where none comes to stop this one, rank 0 has found nothing, or cannot say it.
    if launched()[0] > 0 and not has_met() and interruption.wait_for_signal(SECONDS_FOR_THE_LAUNCHER):
        return code
    print(f"error: {redact(visible(' '.join(message.split())))}", file=sys.stderr)
    return code
